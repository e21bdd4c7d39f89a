"""The forecast command on real files: identity, resume, refusals, without any heavy library."""

import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from contracts import ensemble, progress, state, times
from contracts.errors import ContractError, UserError
from contracts.state import State
from model_server import __main__ as program
from model_server import config, memory, models
from model_server.forecast import forecast
from model_server.free import free
from model_server.models import persistence as persistence_model
from tests import builders
from tests.model_server.conftest import CHECKOUT, command

NEXT = builders.TIME + timedelta(hours=6)


def folders(settings):
    folder = settings.experiment.folder
    return folder.at(builders.TIME).analysis, folder.at(NEXT).background


def test_persistence_forecast_is_the_analysis_at_the_next_time(persistence):
    forecast(persistence, builders.TIME)
    analysis, background = folders(persistence)
    for number in (1, 2, 3):
        found = state.read(background.member(number), persistence.space, NEXT)
        np.testing.assert_array_equal(found.data, state.read(analysis.member(number), persistence.space).data)


def test_mean_and_spread_are_those_of_their_definition(persistence):
    forecast(persistence, builders.TIME)
    analysis, background = folders(persistence)
    members = np.stack([state.read(path, persistence.space).data for path in analysis.members(3)]).astype(np.float64)
    mean, spread = (state.read(path, persistence.space, NEXT).data for path in (background.mean, background.spread))
    np.testing.assert_array_equal(mean, (members.sum(axis=0) / 3).astype(np.float32))
    np.testing.assert_allclose(spread, members.std(axis=0, ddof=1), rtol=1e-6)


def test_moments_do_not_lose_a_small_spread_on_a_large_mean():
    """Geopotential near 4e5 with a spread of 0.5: sums of squares in float32 would return noise."""
    members = (np.random.default_rng(1).standard_normal((20, 5)) * 0.5 + 4e5).astype(np.float32)
    mean, spread = ensemble.moments(members)
    np.testing.assert_allclose(mean, members.astype(np.float64).mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(spread, members.astype(np.float64).std(axis=0, ddof=1), rtol=1e-9)


def test_running_again_makes_only_what_is_missing(persistence):
    forecast(persistence, builders.TIME)
    _, background = folders(persistence)
    before = {path: path.read_bytes() for path in background.members(3)}
    stamps = {path: path.stat().st_mtime_ns for path in background.members(3)}
    background.member(2).unlink()
    background.mean.unlink()
    leftover = background.folder / ".m0002.nc.part"
    leftover.write_bytes(b"of a killed writer")

    forecast(persistence, builders.TIME)
    assert background.is_complete(3) and not leftover.exists()
    for number in (1, 3):
        path = background.member(number)
        assert path.stat().st_mtime_ns == stamps[path] and path.read_bytes() == before[path]


@pytest.mark.parametrize("batch", ["batch = 1", "batch = 3", ""])
def test_files_do_not_depend_on_how_many_members_are_in_memory_together(persistence, tmp_path, batch):
    forecast(persistence, builders.TIME)
    _, background = folders(persistence)
    expected = [state.read(path, persistence.space).data for path in (*background.members(3), background.spread)]
    shutil.rmtree(background.folder)
    file = tmp_path / "experiment.toml"
    file.write_text(file.read_text().replace("batch = 2", batch))
    settings = config.load(file)
    assert settings.batch >= 1 and (batch or settings.batch > 3)  # three members of 8 x 16 points fit anywhere
    forecast(settings, builders.TIME)
    found = [state.read(path, persistence.space).data for path in (*background.members(3), background.spread)]
    np.testing.assert_array_equal(found, expected)


def test_members_that_fit_are_as_many_as_half_of_the_memory_holds():
    shape = (38, 32, 64)
    one = 4 * 38 * 32 * 64 * memory.COPIES
    assert memory.members_that_fit(shape) == pytest.approx(0.5 * memory.free() / one, rel=0.2)
    assert memory.members_that_fit((10**6, 10**6, 10**3)) == 1


def test_missing_analysis_is_named_and_nothing_is_written(persistence):
    analysis, background = folders(persistence)
    analysis.member(2).unlink()
    with pytest.raises(ContractError, match=r"m0002\.nc: no such file.*1 missing"):
        forecast(persistence, builders.TIME)
    assert not background.folder.exists()


def test_analysis_of_another_time_is_refused(persistence):
    analysis, _ = folders(persistence)
    late = replace(builders.random_state(persistence.space), time=NEXT)
    state.write(analysis.member(3), late, member=3)
    with pytest.raises(ContractError, match=r"m0003\.nc: expected the state of 1989010106, got 1989010112"):
        forecast(persistence, builders.TIME)


def test_analysis_on_another_grid_is_refused(persistence):
    analysis, _ = folders(persistence)
    state.write(analysis.member(1), builders.random_state(builders.space(4, 8)), member=1)
    with pytest.raises(ContractError, match=r"m0001\.nc: expected the 8 x 16 grid"):
        forecast(persistence, builders.TIME)


def test_truncated_analysis_is_refused(persistence):
    analysis, background = folders(persistence)
    whole = analysis.member(1).read_bytes()
    analysis.member(1).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ContractError, match=r"m0001\.nc"):
        forecast(persistence, builders.TIME)
    assert not background.member(1).exists()


@pytest.mark.parametrize(("value", "said"), [(np.nan, "nan"), (np.inf, "inf"), (500.0, "500")])
def test_insane_output_is_named_with_member_channel_and_place(persistence, value, said):
    data = builders.random_state(persistence.space).data.copy()
    channel = persistence.space.index("temperature")[1]
    data[channel, 2, 3] = value
    grid = persistence.space.grid
    with pytest.raises(UserError) as refusal:
        ensemble.refuse_insane(data, persistence.space, "member 7 at 1989010112")
    for part in ("member 7", "temperature_850", said, f"lat {grid.lat[2]:g}", f"lon {grid.lon[3]:g}", "1 such value"):
        assert part in str(refusal.value)


def test_member_that_leaves_its_range_stops_the_forecast_unwritten(persistence):
    analysis, background = folders(persistence)
    hot = builders.random_state(persistence.space).data.copy()
    hot[persistence.space.index("2m_temperature")] += 300.0
    state.write(analysis.member(3), State(persistence.space, hot, builders.TIME), member=3)
    with pytest.raises(UserError, match="member 3 at 1989010112: 2m_temperature"):
        forecast(persistence, builders.TIME)
    assert background.member(1).exists() and not background.member(3).exists() and not background.mean.exists()


def test_free_ensemble_of_persistence_never_changes(persistence):
    first = persistence.experiment.folder.at(builders.TIME).background
    for number in (1, 2, 3):
        state.write(first.member(number), builders.random_state(persistence.space, seed=number), member=number)
    free(persistence)
    found = [persistence.experiment.folder.free(time) for time in persistence.experiment.times()]
    assert len(found) == 3
    for pick in ("mean", "spread"):
        start, *later = [state.read(getattr(folder, pick), persistence.space).data for folder in found]
        for data in later:
            np.testing.assert_array_equal(data, start)


def test_interval_that_no_step_fits_is_refused(experiment):
    settings = experiment('[model]\nname = "persistence"\n', more="step_hours = 4")
    with pytest.raises(UserError, match="step_hours = 4 is no multiple of the 6 h step"):
        forecast(settings, builders.TIME)


KNOWN = "anemoi, climax, earth2studio, flow, gap, onnx, persistence, speedy"


@pytest.mark.parametrize(("text", "said"), [
    ('[model]\nname = "sppeedy"', f"unknown model 'sppeedy'; known: {KNOWN}"),
    ('[model]\nname = "persistence"\noptions = {truncation = 21}', r"unknown setting 'truncation'.*known: step_hours"),
    ('[model]\nname = "speedy"\noptions = {truncation = 5}', r"\[model.options\] of the model speedy: .*>= 21"),
])
def test_unknown_models_and_options_are_refused(experiment, text, said):
    settings = experiment(text)
    with pytest.raises(UserError, match=said):
        models.create(settings.model.name, settings.model.options, settings.space)


def test_an_installed_package_brings_its_own_model(persistence, tmp_path, installed):
    file = tmp_path / "experiment.toml"
    file.write_text(file.read_text().replace('"persistence"', '"damped"\noptions = { share = 0.25 }'))

    process = command("forecast", str(file), "1989010106", PYTHONPATH=str(installed))
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    analysis, background = folders(persistence)
    for before, after in zip(analysis.members(3), background.members(3), strict=True):
        x = state.read(before, persistence.space).data
        expected = x + np.float32(0.25) * (x.mean(axis=(1, 2), keepdims=True) - x)
        np.testing.assert_array_equal(state.read(after, persistence.space, NEXT).data, expected)

    process = command("forecast", str(file), "1989010106")
    assert f"unknown model 'damped'; known: {KNOWN}" in process.communicate(timeout=60)[0]


def test_a_model_that_needs_more_of_its_past_than_is_kept_is_refused(monkeypatch):
    monkeypatch.setattr(persistence_model, "create", lambda space, options: SimpleNamespace(history=3))
    with pytest.raises(UserError, match="needs 3 states to begin a step; the cycle carries at most two"):
        models.create("persistence", {}, builders.space())


@pytest.mark.parametrize(("text", "said"), [
    ("[nature]\nspinup_days = 3", r"\[nature\]: unknown setting 'spinup_days'"),
    ("[nature]\nstart = 1989-01-01T00:30:00Z", r"start must be a full hour in UTC"),
    ("[initial]\nevery_hours = 0", r"\[initial\] every_hours"),
])
def test_settings_that_make_no_sense_are_refused(experiment, text, said):
    with pytest.raises(UserError, match=said):
        experiment(text)


def test_speedy_without_its_extra_says_what_to_install(experiment, tmp_path):
    experiment('[model]\nname = "speedy"\n')
    script = (
        "import sys; sys.modules['jax'] = None\n"
        "from contracts import program\nfrom model_server.__main__ import main\n"
        f"sys.argv = ['', 'forecast', {str(tmp_path / 'experiment.toml')!r}, '1989010106']\n"
        "program.run(main, 'model_server')"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the model speedy needs the package jax, which is not installed" in done.stderr
    assert "pip install 'letkf-mpi[nwp]'" in done.stderr and "Traceback" not in done.stderr


def test_persistence_imports_no_heavy_library(persistence, tmp_path):
    script = (
        "import sys\nfrom model_server.__main__ import main\n"
        f"main(['forecast', {str(tmp_path / 'experiment.toml')!r}, '1989010106'])\n"
        "print([name for name in ('jax', 'jcm', 'torch', 'xarray', 'mpi4py') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", program.COMMANDS)
def test_every_command_explains_itself_with_an_example(name, capsys):
    with pytest.raises(SystemExit) as leave:
        program.main([name, "--help"])
    assert leave.value.code == 0
    example = capsys.readouterr().out.partition("example:")[2]
    assert f"python -m model_server {name} " in example


def test_help_lists_every_command(capsys):
    program.main(["--help"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in program.COMMANDS)


def test_nature_defaults_to_the_times_of_the_experiment(experiment):
    settings = experiment("[nature]\nend = 1989-01-03T00:00:00Z")
    assert times.name(settings.nature_start) == "1989010106" and times.name(settings.nature_end) == "1989010300"
    assert config.load(settings.experiment.folder.folder.parent / "experiment.toml") == settings


@pytest.mark.parametrize(("seconds", "said"), [(9.6, "10 s"), (125, "2 min 5 s"), (3 * 3600 + 61, "3 h 1 min")])
def test_durations_in_words(seconds, said):
    assert progress.duration(seconds) == said
