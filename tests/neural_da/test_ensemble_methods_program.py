"""The ensemble methods through the program and its files, the one as the other."""

import numpy as np
import pytest

from contracts import observations, state
from contracts.errors import UserError
from contracts.variables import Flag
from neural_da import analysis
from tests.builders import TIME
from tests.letkf_mpi.case import Case, contents
from tests.neural_da import case
from tests.neural_da.case import NOW

NEURAL = '\n[neural]\nmethod = "{}"\nlatent = "latent/small.safetensors"\n'
EITHER = pytest.mark.parametrize("method", ["latent_enkf", "four_d_en_var"])


@pytest.fixture(autouse=True)
def no_work(monkeypatch):
    monkeypatch.delenv("WORK", raising=False)


def experiment(folder, method: str, more: str = "") -> Case:
    folder.mkdir(exist_ok=True)
    return case.make(folder, NEURAL.format(method) + more)


@EITHER
def test_members_in_parts_and_threads_have_the_same_bits_and_fit_the_observations(tmp_path, method):
    whole, parts = experiment(tmp_path / "whole", method), experiment(tmp_path / "parts", method, "threads = 3\n")
    analysis.main([str(whole.toml), NOW])
    analysis.main([str(parts.toml), NOW, "--members", "2:3"])
    analysis.main([str(parts.toml), NOW, "--rest"])
    assert contents(whole.files) == contents(parts.files)
    table, _ = observations.read_departures(whole.files.departures)
    used = table.flag == Flag.assimilated
    before, after = (np.abs(table.value - hx)[used].mean() for hx in (table.background_mean, table.analysis_mean))
    assert used.any() and after < 0.95 * before


@EITHER
def test_one_patch_grid_or_four_from_the_latents_file(tmp_path, method):
    folder = experiment(tmp_path, method)
    case.write_latent(tmp_path / "latent/small.safetensors", overlap=True)
    analysis.main([str(folder.toml), NOW])
    first = state.read(folder.files.analysis.member(1), folder.space, TIME).data
    assert not np.array_equal(first, state.read(folder.files.background.member(1), folder.space, TIME).data)


@EITHER
def test_what_is_no_localisation_and_slots_that_are_not_there_are_refused(tmp_path, method):
    for more, words in (('localization = "distance"\n', "localization"), ("slots = true\n", r"add a section \[slots\]"),
                        ("radius = 600\n", "radius")):
        made = experiment(tmp_path, method, more)
        with pytest.raises(UserError, match=words):
            analysis.main([str(made.toml), NOW])
