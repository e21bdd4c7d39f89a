"""How far an analysis may be off, place by place, from draws of the climate that the same stations see."""

import numpy as np
import torch
from torch.nn.functional import avg_pool2d

from networks.sphere import padded


def of(left: np.ndarray) -> np.ndarray:
    """float32 (channel, lat, lon), smoothed over three by three points, of what analyses of draws left unknown of
    them, `left` (draw, channel, lat, lon), whose mean is known to be zero."""
    variance = np.square(left, dtype=np.float64).mean(axis=0)
    return np.sqrt(avg_pool2d(padded(torch.from_numpy(variance)), 3, stride=1).numpy()).astype(np.float32)
