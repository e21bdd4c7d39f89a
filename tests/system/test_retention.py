"""Old members go, nothing else does, and the run still resumes."""

import shutil

import pytest

from tests.system.experiment import CYCLES, MEMBERS, TIMES, copy, data

LAST = "1989010112"  # the background after the last analysis


def short_memory(made, monthly: str) -> None:
    made.path.write_text(made.path.read_text() + f"[retention]\nmembers_hours = 0\nmonthly = {monthly}\n")


def is_member(file: str) -> bool:
    return file.rpartition("/")[2].startswith("m0")


@pytest.mark.parametrize("after", ["", "--services"])
def test_members_of_finished_cycles_go_and_all_else_stays(fresh, finished, after):
    short_memory(fresh, "false")
    done = fresh.run(after=after)
    assert done.returncode == 0, done.stdout + done.stderr
    kept, whole = data(fresh.folder), data(finished[0].folder)
    gone = {f"{TIMES[0]}/analysis/m{number:04d}.nc" for number in range(1, MEMBERS + 1)}
    assert whole.keys() - kept.keys() == gone
    for file in kept:
        assert all(kept[file][name].tobytes() == whole[file][name].tobytes() for name in whole[file]), file

    again = fresh.run(after=after)
    assert again.returncode == 0, again.stderr
    assert (f"{CYCLES} cycles complete already" if after else "complete already") in again.stdout
    assert data(fresh.folder).keys() == kept.keys()


def test_a_tidied_experiment_still_has_what_it_and_its_free_ensemble_begin_with(fresh):
    short_memory(fresh, "false")
    first = fresh.folder / TIMES[0] / "background" / "m0001.nc"
    before = first.stat().st_mtime_ns
    assert fresh.run().returncode == 0
    for command in ("initial", "free"):
        done = fresh.program("model_server", command, str(fresh.path))
        assert done.returncode == 0, done.stderr
    assert (fresh.folder / "free" / TIMES[1] / "mean.nc").exists()
    assert first.stat().st_mtime_ns == before


def test_members_of_an_extended_forecast_stay_as_long_after_the_time_that_they_are_valid_at(finished, tmp_path):
    made = copy(finished[0].work, tmp_path)
    here = made.folder / TIMES[0]
    for lead in ("003h", "006h"):
        shutil.copytree(here / "analysis", here / "forecast" / lead)
    (made.folder / TIMES[1] / "scores.nc").unlink()
    short_memory(made, "false")
    before = {path.relative_to(here) for path in here.glob("forecast/*/*.nc")}
    assert made.run().returncode == 0
    gone = before - {path.relative_to(here) for path in here.glob("forecast/*/*.nc")}
    assert {str(path) for path in gone} == {f"forecast/003h/m{number:04d}.nc" for number in range(1, MEMBERS + 1)}


def test_where_members_are_no_longer_kept_it_says_so(fresh):
    short_memory(fresh, "false")
    assert fresh.run().returncode == 0
    done = fresh.program("model_server", "forecast", str(fresh.path), TIMES[0], "--steps", "2")
    assert done.returncode == 1
    assert f"the members of the analysis {TIMES[0]} are no longer kept ([retention])" in done.stderr
    (fresh.folder / TIMES[0] / "scores.nc").unlink()
    done = fresh.program("verify", "scores", str(fresh.path), TIMES[0])
    assert done.returncode == 0
    assert "analysis: its members are no longer kept ([retention]), so it has no CRPS" in done.stderr


def test_members_of_the_first_of_a_month_stay(fresh, finished):
    short_memory(fresh, "true")
    assert fresh.run().returncode == 0
    assert data(fresh.folder).keys() == data(finished[0].folder).keys()


def test_an_experiment_that_the_disk_cannot_hold_is_refused_before_it_begins(fresh):
    # A model that keeps a TiB for itself, in a file with a hole that takes no room; ten years of it are 14 PiB.
    restart = fresh.folder / TIMES[0] / "background" / ".restart" / "m0001.npz"
    restart.parent.mkdir()
    with restart.open("wb") as file:
        file.truncate(2**40)
    fresh.path.write_text(fresh.path.read_text().replace("end = 1989-01-01", "end = 1999-01-01"))
    done = fresh.run()
    assert done.returncode == 1
    assert " GiB more and the disk has " in done.stderr
    assert not (fresh.folder / TIMES[0] / "observations.nc").exists()
