"""Observations of one analysis time: PREPBUFR files, or a known truth, in; `observations.nc` out."""
