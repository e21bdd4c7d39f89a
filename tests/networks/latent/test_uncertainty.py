"""What variances of a latent mean for the state, against the covariance of the increments of unit vectors."""

import numpy as np
import pytest
import torch

from networks.latent import eof, uncertainty
from networks.latent.operator import Operator
from tests.networks.latent.test_eof import MEAN, PATCH, SCALE, SPACE, errors


@pytest.mark.parametrize("overlap", [False, True])
def test_the_deviation_is_the_root_of_the_diagonal_of_the_covariance(overlap):
    moments = eof.Moments.of(errors(), SPACE, PATCH, SCALE, overlap)
    maps = Operator.of(eof.fit(moments, SPACE, PATCH, SCALE, MEAN, 6, overlap), dtype=torch.float64)
    variance = torch.tensor(np.random.default_rng(8).uniform(0.1, 3, maps.size))
    G = maps.increment(torch.eye(maps.size, dtype=torch.float64), variance.sqrt())
    assert torch.allclose(uncertainty.deviation(maps, variance), G.square().sum(0).sqrt(), rtol=1e-10)
