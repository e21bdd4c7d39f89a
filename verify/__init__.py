"""Scores, observation statistics, tables and figures: reads the files that the others wrote."""
