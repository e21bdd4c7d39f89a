"""Old members go, nothing else does, and the run still resumes."""

import pytest

from tests.system.experiment import CYCLES, MEMBERS, data
from tests.system.test_cycle import TIMES

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
    gone = {f"{TIMES[0]}/{kind}/m{number:04d}.nc" for kind in ("background", "analysis")
            for number in range(1, MEMBERS + 1)}  # fmt: skip
    assert whole.keys() - kept.keys() == gone
    for file in kept:
        assert all(kept[file][name].tobytes() == whole[file][name].tobytes() for name in whole[file]), file

    again = fresh.run(after=after)
    assert again.returncode == 0, again.stderr
    assert (f"{CYCLES} cycles complete already" if after else "complete already") in again.stdout
    assert data(fresh.folder).keys() == kept.keys()


def test_a_tidied_experiment_is_not_prepared_again(fresh):
    short_memory(fresh, "false")
    assert fresh.run().returncode == 0
    assert fresh.program("model_server", "initial", str(fresh.path)).returncode == 0
    assert not (fresh.folder / TIMES[0] / "background" / "m0001.nc").exists()


def test_members_of_the_first_of_a_month_stay(fresh, finished):
    short_memory(fresh, "true")
    assert fresh.run().returncode == 0
    assert data(fresh.folder).keys() == data(finished[0].folder).keys()


def test_an_experiment_that_the_disk_cannot_hold_is_refused_before_it_begins(fresh):
    # 500 years of 6-hourly cycles of this small model need more than any disk that runs tests.
    fresh.path.write_text(fresh.path.read_text().replace("end = 1989-01-01", "end = 2489-01-01"))
    done = fresh.run()
    assert done.returncode == 1
    assert "GiB more and the disk has" in done.stderr
    assert not (fresh.folder / TIMES[0] / "observations.nc").exists()
