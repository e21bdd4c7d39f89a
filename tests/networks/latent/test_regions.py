"""Patches as regions: each column has one home in every patch grid, and a region's numbers are nowhere else."""

import numpy as np
import pytest
import torch

from networks.latent.operator import Operator
from networks.latent.regions import Regions
from tests.neural_da import made

LATENTS = [Operator.of(made.latent(overlap=overlap), dtype=torch.float64) for overlap in (False, True)]
COLUMNS = made.SPACE.grid.size


@pytest.mark.parametrize("latent", LATENTS)
@pytest.mark.parametrize("cut", [Regions.globe, Regions.patches])
def test_the_parts_are_all_of_a_latent_vector_one_after_the_other(latent, cut):
    parts = cut(latent, COLUMNS).parts()
    assert np.concatenate([np.arange(latent.size)[part] for part in parts]).tolist() == list(range(latent.size))
    assert all(part.stop > part.start for part in parts)


@pytest.mark.parametrize("latent", LATENTS)
def test_what_belongs_to_a_region_moves_the_columns_that_are_at_home_there_and_no_others(latent):
    regions, rng = Regions.patches(latent, COLUMNS), np.random.default_rng(3)
    for number, part in enumerate(regions.parts()):
        z = torch.zeros(latent.size, dtype=torch.float64)
        z[part] = torch.tensor(rng.standard_normal(part.stop - part.start))
        moved = (latent.spread(z).reshape(-1, COLUMNS) != 0).any(0).numpy()
        assert np.array_equal(moved, (regions.home == number).any(0)) and moved.any()


def test_of_the_globe_every_column_is_at_home_in_the_one_region():
    regions = Regions.globe(LATENTS[0], COLUMNS)
    assert regions.count == 1 and not regions.home.any()


def test_a_region_sees_what_stands_in_it_once_in_each_grid():
    """Of two grids: three observations, the second region of the first grid and the third of the second see none."""
    regions = Regions(np.array([0, 4, 8, 10, 12, 14]), np.array([[0, 0, 1, 1], [2, 3, 4, 2]]))
    seen = regions.seen(regions.home[:, [0, 1, 0]])
    assert [rows.tolist() for rows in seen] == [[0, 1, 2], [], [0, 2], [1], []]


def test_without_observations_no_region_sees_any():
    regions = Regions.patches(LATENTS[1], COLUMNS)
    assert [rows.size for rows in regions.seen(np.empty((4, 0), int))] == [0] * regions.count
