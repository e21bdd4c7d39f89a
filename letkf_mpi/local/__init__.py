"""The analysis of a tile of columns: which observations, with which weight, how inflated and how relaxed."""
