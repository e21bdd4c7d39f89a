"""In which precision a training multiplies: bfloat16 where the processor has instructions for it, else float32.

Without them bfloat16 is emulated. One training step of the shipped network, two states on one core of an AMD EPYC, took
0.32 s in float32; in bfloat16 0.12 s with AVX512_BF16 and 3.2 s when oneDNN was kept to AVX2.
"""

import logging

import torch

from networks import bfloat16
from networks.emulator import Precision
from networks.training import config

log = logging.getLogger("networks.train")


def resolved(asked: config.Precision, device: torch.device) -> Precision:
    """What "auto" is on `device`; what is asked for otherwise, with a warning where that is slow."""
    fast = bfloat16.is_multiplied_by(device)
    if asked == "auto":
        chosen: Precision = "bfloat16" if fast else "float32"
        log.info("[training] precision: %s, which is fast on %s", chosen, device)
        return chosen
    if asked == "bfloat16" and not fast:
        log.warning('[training] precision = "bfloat16": %s has no instructions that multiply it, a step may take ten '
                    'times as long as in float32; "auto" takes what is fast', device)
    return asked
