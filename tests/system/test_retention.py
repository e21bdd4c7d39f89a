"""Old members go, nothing else does, and the run still resumes."""

import shutil

from tests.system.experiment import CYCLES, MEMBERS, TIMES, copy, data, short_memory


def test_members_of_finished_cycles_go_and_all_else_stays(tidied, finished):
    only_members_went(tidied, finished[0])
    before = data(tidied.folder).keys()
    again = tidied.run()
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("complete already") == CYCLES
    assert data(tidied.folder).keys() == before


def test_members_go_with_services_too(fresh, finished):
    short_memory(fresh)
    for words in ("cycle 2 of 2", f"{CYCLES} cycles complete already"):
        done = fresh.run(after="--services")
        assert done.returncode == 0, done.stdout + done.stderr
        assert words in done.stdout
        only_members_went(fresh, finished[0])


def only_members_went(made, whole) -> None:
    kept, all_of_it = data(made.folder), data(whole.folder)
    gone = {f"{TIMES[0]}/analysis/m{number:04d}.nc" for number in range(1, MEMBERS + 1)}
    assert all_of_it.keys() - kept.keys() == gone
    for file in kept:
        assert all(kept[file][name].tobytes() == all_of_it[file][name].tobytes() for name in all_of_it[file]), file


def test_a_tidied_experiment_still_has_what_it_and_its_free_ensemble_begin_with(prepared, tidied, tmp_path):
    made, first = copy(tidied.work, tmp_path), f"tiny/{TIMES[0]}/background/m0001.nc"
    for command in ("initial", "free"):
        done = made.program("model_server", command, str(made.path))
        assert done.returncode == 0, done.stderr
    assert (made.folder / "free" / TIMES[1] / "ensmean.nc").exists()
    assert (made.work / first).stat().st_mtime_ns == (prepared / first).stat().st_mtime_ns  # a copy keeps it


def test_members_of_an_extended_forecast_stay_as_long_after_the_time_that_they_are_valid_at(finished, tmp_path):
    made = copy(finished[0].work, tmp_path)
    here = made.folder / TIMES[0]
    for lead in ("003h", "006h"):
        shutil.copytree(here / "analysis", here / "forecast" / lead)
    (made.folder / TIMES[1] / "scores.nc").unlink()
    short_memory(made)
    before = {path.relative_to(here) for path in here.glob("forecast/*/*.nc")}
    assert made.run().returncode == 0
    gone = before - {path.relative_to(here) for path in here.glob("forecast/*/*.nc")}
    assert {str(path) for path in gone} == {f"forecast/003h/m{number:04d}.nc" for number in range(1, MEMBERS + 1)}


def test_where_members_are_no_longer_kept_it_says_so(tidied, tmp_path):
    made = copy(tidied.work, tmp_path)
    done = made.program("model_server", "forecast", str(made.path), TIMES[0], "--steps", "2")
    assert done.returncode == 1
    assert f"the members of the analysis {TIMES[0]} are no longer kept ([retention])" in done.stderr
    (made.folder / TIMES[0] / "scores.nc").unlink()
    done = made.program("verify", "scores", str(made.path), TIMES[0])
    assert done.returncode == 0
    assert "analysis: its members are no longer kept ([retention]), so it has no CRPS" in done.stderr


def test_members_of_the_first_of_a_month_stay(fresh, finished):
    short_memory(fresh, monthly=True)
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
