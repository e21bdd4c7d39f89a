"""A step redone, a damaged file, a disk that fills: what the corridor says, and that it goes on to the same bits."""

import shutil
from pathlib import Path

import pytest

from tests.system.campaign import small_disk
from tests.system.experiment import TIMES, copy, data, member, resumes_to_the_same, same, told, truncate, until
from tests.system.faults import fill

MODES = ["", "--services"]


def written(made) -> dict[Path, int]:
    return {path.relative_to(made.folder): path.stat().st_mtime_ns for path in made.folder.rglob("*.nc")}


@pytest.mark.parametrize("after", MODES)
def test_an_analysis_redone_and_all_that_follows_has_the_same_bits(finished, tmp_path, after):
    made = copy(finished[0].work, tmp_path)
    before = written(made)
    done = made.run(after=f"--redo analysis {TIMES[0]} {after}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"redo analysis of {TIMES[0]}: " in done.stdout
    same(data(made.folder), data(finished[0].folder))
    now = written(made)
    stayed = {str(path) for path in before if before[path] == now[path]}
    members = (f"m{n:04d}" for n in range(1, 9))
    first = {f"{TIMES[0]}/background/{name}.nc" for name in ("ensmean", "ensspread", *members)}
    assert stayed == {"static.nc", *(f"{time}/observations.nc" for time in TIMES), *first}


def test_what_cannot_be_redone_is_refused_and_nothing_is_touched(finished, tmp_path):
    made = copy(finished[0].work, tmp_path)
    before = written(made)
    for words, sentence in [("forcast 1989010100", "unknown stage 'forcast'; known: observations, analysis, forecast"),
                            ("forecast 1989010103", "1989010103 is no time of the experiment; it has 1989010100 to")]:
        done = made.run(after=f"--redo {words}")
        assert done.returncode == 1 and sentence in done.stderr
    assert made.run(after="--redo forecast").returncode == 2
    assert written(made) == before


def test_where_members_are_no_longer_kept_it_says_what_can_be_redone(tidied, tmp_path):
    done = copy(tidied.work, tmp_path).run(after=f"--redo forecast {TIMES[0]}")
    assert done.returncode == 1
    assert f"{TIMES[0]}/analysis: m0001.nc to m0008.nc are no longer kept ([retention]), so forecast of" in done.stderr
    assert f"the nearest times where it can: {TIMES[1]} after it" in done.stderr


def test_a_damaged_inflation_is_told_with_what_makes_it_again(finished, tmp_path):
    made = copy(finished[0].work, tmp_path)
    (made.folder / TIMES[1] / "departures.nc").unlink()
    truncate(made.folder / TIMES[0] / "inflation.nc")
    done = made.run()
    command = f"--redo analysis {TIMES[0]}"
    assert done.returncode != 0
    assert f"remove it and make it again: run/cycle.sh EXPERIMENT.toml {command}" in done.stderr
    resumes_to_the_same(made, finished, after=command)


def test_damage_of_what_was_used_already_is_found_by_reading_all(finished, tmp_path):
    made = copy(finished[0].work, tmp_path)
    done = made.program("contracts", str(made.path), "--check")
    assert done.returncode == 0 and "all of them whole" in done.stdout
    truncate(member(made, kind="analysis"))
    member(made, 1).unlink()
    member(made, 1).with_name("ensmean.nc").unlink()
    assert made.run().returncode == 0  # nothing reads them any more
    done = made.program("contracts", str(made.path), "--check")
    assert done.returncode == 1
    assert f"{member(made, kind='analysis')}: is no readable NetCDF file" in done.stderr
    assert "background: m0001.nc, ensmean.nc missing; to make it run: run/prepare.sh" in done.stderr


@pytest.mark.parametrize("after", MODES)
def test_without_room_for_the_next_cycle_it_stops_before_it_and_goes_on_when_there_is(fresh, finished, tmp_path, after):
    with small_disk(tmp_path / "disk") as mounted:
        if not mounted:
            pytest.skip("only root may mount a disk")
        made = copy(fresh.work, tmp_path / "disk")
        truth = made.work / "truth" / f"{TIMES[1]}.nc"
        later = Path(shutil.move(truth, tmp_path))  # no service is to make the cycle faster than the driver looks
        process = made.start(after=after)
        until(lambda: process.poll() is not None or any(made.folder.glob("*/observations.nc")), "a first step")
        filler = fill(tmp_path / "disk", leave=3 * 2**20)
        out, err = process.communicate(timeout=180)
        assert process.returncode == 1, out + err
        assert f"the cycle of {TIMES[1]} needs about 4 MiB and the disk has " in err
        assert made.program("verify", "status", str(made.path)).returncode == 0
        state, _, reason = told(made)
        assert state == "STALLED"
        assert after or "make room, then the same command goes on" in reason  # the service misses the truth
        filler.unlink()
        shutil.move(later, truth)
        resumes_to_the_same(made, finished, after=after)
