"""Latents: few numbers that stand for a state, in which errors of forecasts are nearly uncorrelated."""
