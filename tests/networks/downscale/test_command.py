"""`python -m networks downscale` writes what weights make of coarse ensembles, beside them."""

import numpy as np
import pytest

from contracts import state, static
from contracts.errors import ContractError, UserError
from contracts.paths import ExperimentFolder
from contracts.state import State, StateSpace
from contracts.static import Static
from networks import __main__ as networks
from networks import train
from networks.data import spreads
from networks.data.regrid import Regridding
from tests.networks.downscale import made
from tests.networks.downscale.made import COARSE, SPACE

CELLS = StateSpace(COARSE, SPACE.channels)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = made.world(tmp_path_factory.mktemp("work"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("WORK", str(folder))
        train.main([str(made.training(folder, "of_spread"))])
        train.main([str(made.training(folder, "of_members", 1, "", "members", "diffusion"))])
    return folder


@pytest.fixture
def run(work, monkeypatch):
    """run(path): the command."""
    monkeypatch.setenv("WORK", str(work))
    return lambda path: networks.main(["downscale", str(path)])


def coarse_run(work, start: int = 64) -> None:
    """The same spreads as an experiment on the coarse grid has them."""
    folder = ExperimentFolder(work / "coarse")
    zero = np.zeros(COARSE.shape)
    static.write(folder.static, Static(COARSE, zero, zero))
    for number in range(start, start + 2):
        time = made.time_of(number)
        fine = state.read(ExperimentFolder(work / "ensembles").at(time).background.spread, SPACE).data
        cells = np.sqrt(Regridding(SPACE.grid, COARSE)(fine.astype(np.float64) ** 2))
        state.write(folder.at(time).background.spread, State(CELLS, cells, time), statistic="spread")


def test_the_spread_of_a_coarse_experiment_is_that_of_the_fine_one_seen_by_cells(work, run):
    run(made.downscaling(work, "ensembles", "of_spread"))
    coarse_run(work)
    run(made.downscaling(work, "coarse", "of_spread", COARSE))
    time = made.time_of(64)
    fine, coarse = (ExperimentFolder(work / name).at(time) for name in ("ensembles", "coarse"))
    for of, space in ((lambda here: here.downscaled, SPACE), (lambda here: here.downscaled_from("guess"), SPACE),
                      (lambda here: here.downscaled_from("coarse"), CELLS)):
        one, other = (state.read(of(here).spread, space, time).data for here in (fine, coarse))
        np.testing.assert_allclose(one, other, rtol=2e-5)
    truth, found = (state.read(here.spread, SPACE).data for here in (fine.background, fine.downscaled))
    cells, of_found = (np.sqrt(Regridding(SPACE.grid, COARSE)(field.astype(float) ** 2)) for field in (truth, found))
    np.testing.assert_allclose(of_found, cells, rtol=0.01)
    assert state.grid_of(fine.downscaled_from("coarse").spread).is_same(COARSE)


def test_members_keep_the_means_of_their_cells(work, run):
    path = made.downscaling(work, "ensembles", "of_members", start=64, end=64)
    run(path)
    time = made.time_of(64)
    here = ExperimentFolder(work / "ensembles").at(time)
    means = Regridding(SPACE.grid, COARSE)
    for number in (1, made.MEMBERS):
        own, found = (state.read(folder.member(number), SPACE).data for folder in (here.background, here.downscaled))
        np.testing.assert_allclose(means(found), means(own), atol=2e-3)
        assert np.abs(found - own).max() > 0.1
    whole = np.stack([state.read(here.downscaled.member(n + 1), SPACE).data for n in range(made.MEMBERS)])
    np.testing.assert_allclose(state.read(here.downscaled.spread, SPACE).data, whole.std(axis=0, ddof=1), rtol=1e-3)
    again = whole[3]
    run(path)
    np.testing.assert_array_equal(state.read(here.downscaled.member(4), SPACE).data, again)


@pytest.mark.parametrize(("before", "after", "words"), [
    ("1990-01-17", "1990-01-11", "was made from states of 1990010100 to 1990011218"),
    ("nlat = 16", "nlat = 8", "leads from the 4 x 8 grid.* to the 16 x 32 grid"),
    ("500, 700, 850", "500, 850", "was trained for temperature_500, .* and .state. names"),
    ('name = "ensembles"', 'name = "nothing"', "no time has a background with its spread"),
    ("[downscale]", "[downscale]\ndraw = 3", "draw"),
])
def test_what_cannot_be_is_refused_in_words(work, run, before, after, words):
    path = made.downscaling(work, "ensembles", "of_spread", start=64, end=65)
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(UserError, match=words):
        run(path)


def test_members_that_are_not_kept_are_named(work, run):
    with pytest.raises(ContractError, match="m0001.nc: no such file; expected the background of 1990011706 of 4"):
        run(made.downscaling(work, "ensembles", "of_members", start=65, end=65))


def test_a_spread_of_nothing_has_no_logarithm():
    spread = np.ones(SPACE.shape)
    spread[2, :4] = 0.0
    found = spreads.logarithm(spread, SPACE, "file")
    assert found[2, :4].max() == found[2].min() == pytest.approx(np.log(0.01 * spreads.globe(spread, SPACE.grid)[2]))
    spread[3] = 0.0
    with pytest.raises(UserError, match="file: u_component_of_wind_500 has no spread"):
        spreads.logarithm(spread, SPACE, "file")


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit):
        networks.main(["downscale", "--help"])
    assert "python -m networks downscale run/experiments/generative/downscale.toml" in capsys.readouterr().out
