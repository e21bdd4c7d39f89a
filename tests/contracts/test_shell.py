"""`python -m contracts`: what the corridor is told, and the experiment file as it was run."""

import shlex
import subprocess

import pytest

from contracts import __main__ as shell
from contracts import config, frozen
from contracts.errors import UserError
from contracts.stages import Run
from tests.contracts.case import TEXT, experiment_of, written


def test_a_shell_reads_what_the_file_says(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORK", str(tmp_path / "a folder; with 'signs'"))
    monkeypatch.delenv("RANKS", raising=False)
    shell.main([str(written(tmp_path))])
    lines = capsys.readouterr().out
    names = ("FOLDER", "TIMES", "MEMBERS", "STEP_HOURS", "MODE", "RANKS", "MACHINE", "ANALYSIS")
    script = lines + "printf '%s\\n' " + " ".join(f'"${name}"' for name in names)
    told = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert told.stdout.splitlines() == [
        str(tmp_path / "a folder; with 'signs'" / "short"),
        "1989010118 1989010200 1989010206", "3", "6", "research", "2", "local", "letkf_mpi.analysis",
    ]


def test_the_environment_overrides_the_ranks(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RANKS", "32")
    shell.main([str(written(tmp_path))])
    assert "RANKS=32" in shlex.split(capsys.readouterr().out)


@pytest.mark.parametrize("ranks", ["0", "two", "-1"])
def test_ranks_that_are_no_number_are_refused(tmp_path, monkeypatch, ranks):
    monkeypatch.setenv("RANKS", ranks)
    with pytest.raises(UserError, match="RANKS must be a number"):
        shell.main([str(written(tmp_path))])


def test_an_unknown_section_is_refused(tmp_path):
    with pytest.raises(UserError, match="unknown section 'inflaton'"):
        config.load(written(tmp_path, TEXT.replace("[inflation]", "[inflaton]")), shell.Settings)


def test_the_frozen_file_is_the_file_under_its_versions(tmp_path, monkeypatch):
    monkeypatch.setenv("WORK", str(tmp_path))
    experiment = experiment_of(tmp_path)
    for version, known in (("code 1", False), ("code 1", True), ("code 2", False)):
        assert frozen.is_kept(TEXT, experiment, version) == known
        frozen.freeze(TEXT, experiment, Run(), version)
    assert experiment.folder.settings.read_text() == f"# run with code 1\n# run with code 2\n\n{TEXT.strip()}\n"


def test_an_experiment_goes_on_only_as_it_was_begun(tmp_path, monkeypatch):
    monkeypatch.setenv("WORK", str(tmp_path))
    experiment = experiment_of(tmp_path)
    frozen.freeze(TEXT, experiment, Run(), "code")
    made = experiment.folder.at(experiment.start).departures
    made.parent.mkdir()
    made.touch()
    with pytest.raises(UserError, match=r"\[inflation\] factor: .* begun with 1.1, the file now says 1.2, and .* dep"):
        frozen.freeze(TEXT.replace("1.1", "1.2"), experiment, Run(), "code")
    with pytest.raises(UserError, match=r"\[inflation\] factor: .* begun with 1.1, the file now says its default"):
        frozen.freeze(TEXT.replace("factor = 1.1", ""), experiment, Run(), "code")
    longer = TEXT.replace("1989-01-02", "1989-01-09") + "[run]\nranks = 5\n[retention]\nmembers_hours = 6\n"
    longer += "[model]\nbatch = 4\n[analysis]\nthreads = 2\n"
    frozen.freeze(longer, experiment, Run(), "code")
    assert longer.strip() in experiment.folder.settings.read_text()
