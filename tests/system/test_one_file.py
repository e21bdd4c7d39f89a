"""All members in one file: what comes of a cycle has the bits that it has with a file each, whatever happens to it."""

import re

import pytest

from contracts import members
from tests.system import experiment
from tests.system.experiment import MEMBERS, TEXT, TIMES, Experiment, copy, data, kill, same, short_memory, until

SETTING = 'members = 8\nmembers_in = "one_file"'


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Experiment:
    """Before the first cycle."""
    return experiment.make(tmp_path_factory.mktemp("begun") / "work", TEXT.replace("members = 8", SETTING))


def but_members(made: Experiment) -> dict:
    return {name: found for name, found in data(made.folder).items() if not name.split("/")[-1].startswith("m")}


def values(made: Experiment) -> dict[str, list[bytes]]:
    settings = made.settings
    space, every = settings.state.space(settings.grid.grid()), range(1, MEMBERS + 1)
    found = {}
    for time in settings.experiment.times():
        here = settings.experiment.folder.at(time)
        for ensemble in (here.background, here.analysis):
            found[str(ensemble.folder)] = [one.data.tobytes() for one in members.read(ensemble, every, space, time)]
    return found


def test_killed_and_resumed_with_services_on_two_ranks_it_has_the_bits_of_a_file_each(begun, finished, tmp_path,
                                                                                      monkeypatch):
    made = copy(begun.work, tmp_path)
    process = made.start(before="export RANKS=2")
    until(lambda: (made.folder / TIMES[0] / "departures.nc").exists(), "the first analysis")
    kill(process)
    done = made.run(after="--services")
    assert done.returncode == 0, done.stdout + done.stderr
    same(but_members(made), but_members(finished[0]))
    found = []
    for one in (made, finished[0]):
        monkeypatch.setenv("WORK", str(one.work))
        found.append(list(values(one).values()))
    assert found[0] == found[1]
    assert not list(made.folder.rglob("m0*.nc")) and len(list(made.folder.rglob("members.nc"))) == 5

    told = []
    for one in (made, finished[0]):
        out = tmp_path / f"{one.work.parent.name}.nc"
        for words in (("dataset", str(one.path), str(out)), ("report", str(one.path))):
            done = one.program("verify", *words)
            assert done.returncode == 0, done.stderr
        page = (one.folder / "report.html").read_text()
        told.append((data(out.parent)[out.name], sorted(set(re.findall(r"member \d|means of \d members", page)))))
    same({"it": told[0][0]}, {"it": told[1][0]})
    assert told[0][1] == told[1][1] == ["means of 8 members", "member 1", "member 2", "member 3"]

    short_memory(made)
    done = made.run()
    assert done.returncode == 0, done.stdout + done.stderr
    kept = {str(path.relative_to(made.folder)) for path in made.folder.rglob("members.nc")}
    assert f"{TIMES[0]}/analysis/members.nc" not in kept and f"{TIMES[0]}/background/members.nc" in kept


def test_how_members_lie_is_not_changed_once_it_is_begun(finished, tmp_path):
    made = copy(finished[0].work, tmp_path)
    made.path.write_text(made.path.read_text().replace("members = 8", SETTING))
    done = made.run()
    assert done.returncode == 1
    assert "members_in: this experiment was begun with its default, the file now says 'one_file'" in done.stderr
