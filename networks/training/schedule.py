"""The learning rate: a linear warm-up, then half a cosine down (Loshchilov & Hutter 2017)."""

from math import cos, pi

from networks.training.config import Phase


def learning_rate(phase: Phase, step: int, steps: int) -> float:
    """For step 0 … `steps` - 1 of a phase."""
    warm = min(phase.warmup_steps, steps // 2)
    if step < warm:
        return phase.learning_rate * (step + 1) / warm
    share = (step - warm) / max(1, steps - 1 - warm)
    fall = phase.final_fraction + (1 - phase.final_fraction) * (1 + cos(pi * share)) / 2
    return phase.learning_rate * fall
