"""Whatever stands in an experiment file, it is taken or told in one sentence, at once and before anything is made."""

import os
import time
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import msgspec
import pytest
import tomli_w
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from contracts import __main__ as shell
from contracts import base, clock, config, frozen, programs, redo, texts, validation
from contracts.config import Name
from contracts.errors import UserError
from tests.contracts.case import TEXT, experiment_of, written

START, END = datetime(1989, 1, 1, tzinfo=UTC), datetime(1989, 1, 2, tzinfo=UTC)
BASE = {"experiment": {"name": "x", "start": START, "end": END}}
HOSTILE = [float("inf"), float("nan"), -1e308, 1e308, 1e-320, 2**62, -(2**62), 10**30, 0, -1, True, "", "..", "a\0b",
           "/", "x\n", "x" * 300, "\u202e", "%", "$", [], [[]], {}, [float("inf")], ["x", "x"], [500, 500],
           [{"a": [1]}], datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, tzinfo=UTC), datetime(2000, 1, 1)]
LINES = st.lists(st.sampled_from(TEXT.splitlines()), max_size=12).map(lambda lines: "\n".join(lines).encode())
SECONDS = 3.0  # of processor time for one file; reading a sound one takes a few hundredths


def refused(path: Path) -> str:
    """What is said of an experiment file by all programs and the corridor, nothing where it is taken."""
    began = time.process_time()
    try:
        text = base.complete(path)
        chosen = config.decode(text, shell.Settings, str(path))
        document = texts.table(text, str(path))
        validation.validate(path, document, chosen.run)
        assert shell.shell_variables(chosen, document)
        said = ""
    except UserError as error:
        said = str(error)
    assert time.process_time() - began < SECONDS
    assert len(said) < 2000 * (1 + said.count("\n"))
    return said


def settings_of_ours() -> list[tuple[str, str]]:
    """Section and setting of all that our programs read."""
    found = dict.fromkeys((section.name, item.name) for section in _fields(shell.Settings)
                          for item in _fields(section.type))
    for program in programs.PROGRAMS.values():
        room = program.settings.partition(":")[0].rpartition(".")[0]
        struct = import_module(f"{room}.config").Settings
        found |= dict.fromkeys((section.name, item.name) for section in _fields(struct)
                               for choice in config._choices(section.type) for item in _fields(choice))
    return sorted(found)


def _fields(struct):
    return msgspec.structs.fields(struct)


@pytest.mark.parametrize("section, setting", settings_of_ours())
def test_a_hostile_value_is_taken_or_told(tmp_path, monkeypatch, section, setting):
    monkeypatch.setenv("WORK", str(tmp_path))
    path = tmp_path / "x.toml"
    for value in HOSTILE:
        path.write_text(tomli_w.dumps(BASE | {section: BASE.get(section, {}) | {setting: value}}))
        refused(path)


@pytest.mark.parametrize("name", ["..", ".", ".hidden", "x\n", "-x", "a/b", "", "x" * 101, "ä", "a b"])
def test_a_name_leads_nowhere_else(tmp_path, name):
    path = written(tmp_path, TEXT.replace('"short"', tomli_w.dumps({"a": name})[4:].strip()))
    with pytest.raises(UserError, match=r"\[experiment\] name"):
        config.load(path, shell.Settings)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(name, Name)


@pytest.mark.parametrize("name", ["x", "A.b_c-1", "9", "x" * 100])
def test_other_names_are_taken(tmp_path, name):
    assert config.load(written(tmp_path, TEXT.replace("short", name)), shell.Settings).experiment.name == name


@pytest.mark.parametrize(("change", "sentence"), [
    (("end = 1989", "end = 9999"), r"\[experiment\] end: expected a time of the years 1800 to 2200"),
    (("members = 3", "members = 3\nstep_hours = 1\n#"), ""),
    (("end = 1989-01-02", "end = 2189-01-02"), "times of step_hours 6, at most 100000"),
    (("members = 3", "members = inf"), r"\[experiment\] members: expected a finite number"),
    (("members = 3", 'mode = "real-time"'), r"mode: unknown value 'real-time'; .*; did you mean 'realtime'"),
    (("start = 1989-01-01T18:00:00Z", 'start = "1989-01-01 18"'), "start: expected a time such as .* without quotes"),
    (("start = 1989-01-01T18:00:00Z", "start = 1989-01-01"), "start: expected a time such as"),
    (("[inflation]", "[grid]\nnlat = 100000000\nnlon = 100000000\n[inflation]"), r"\[grid\] nlat"),
    (("[inflation]", "[state]\nlevels_hpa = []\n[inflation]"), "levels_hpa is empty"),
    (("[inflation]", "[state]\nlevels_hpa = [500, 500]\n[inflation]"), "levels_hpa: 500.0 stands there twice"),
    (("[inflation]", "[state]\non_levels = []\nat_surface = []\n[inflation]"), "both empty"),
    (("[inflation]", f"[state]\nlevels_hpa = {'[' * 3000}{']' * 3000}\n[inflation]"), "arrays in one another"),
    (("[inflation]", f"[state]\nlevels_hpa = {'[' * 50}{']' * 50}\n[inflation]"), "arrays in one another"),
    (("[inflation]", "[localisation]\n[inflation]"), "unknown section .* did you mean 'localization'"),
    (("[inflation]", "[realtime]\ncutoff_hours = 1e300\n[inflation]"), "span of at most a century"),
])
def test_what_would_cost_time_or_memory_is_refused_at_once(tmp_path, monkeypatch, change, sentence):
    monkeypatch.setenv("WORK", str(tmp_path))
    said = refused(written(tmp_path, TEXT.replace(*change)))
    if not sentence:
        assert said == ""
    else:
        with pytest.raises(UserError, match=sentence):
            raise UserError(said)


def test_a_text_that_is_none_names_line_and_remedy(tmp_path):
    path = tmp_path / "latin.toml"
    path.write_bytes(b"# one\n# Pr\xfcfung\n" + TEXT.encode())
    assert "latin.toml, line 2: is not UTF-8 (byte 0xfc); save it as UTF-8" in refused(path)
    path.write_bytes(TEXT.encode("utf-16"))
    assert "is not UTF-8" in refused(path)
    path.write_bytes(TEXT.encode("utf-8-sig").replace(b"\n", b"\r\n"))
    assert refused(path) == ""


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/stdin", "pipe", "/proc/self/mem", ".", "x" * 300, "a\\u0000b"])
def test_what_has_no_end_is_no_base(tmp_path, name):
    os.mkfifo(tmp_path / "pipe")
    path = written(tmp_path, f'base = "{name}"\n' + TEXT)
    assert refused(path)


def test_a_text_of_a_machine_is_not_read(tmp_path):
    path = tmp_path / "large.toml"
    path.write_bytes(b"#" * (texts.MOST_BYTES + 1))
    assert "is longer than 4 MiB" in refused(path)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode), LINES))
@example(content=b"x = 0x" + b"f" * 10_000)
@example(content=b"x = " + b"9" * 10_000)
def test_any_bytes_are_an_experiment_or_a_sentence(tmp_path, content):
    path = tmp_path / "any.toml"
    path.write_bytes(content)
    refused(path)
    for kept, look in (("experiment.toml", frozen._kept), (".redo", redo.finish), ("clock.json", clock.read)):
        experiment = experiment_of(tmp_path)
        folder = tmp_path / "work" / experiment.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / kept).write_bytes(content)
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("WORK", str(tmp_path / "work"))
                look(experiment)
        except UserError as error:
            assert kept in str(error)
        finally:
            (folder / kept).unlink(missing_ok=True)


def test_a_clock_that_shows_no_time_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WORK", str(tmp_path))
    experiment = experiment_of(tmp_path)
    experiment.folder.folder.mkdir()
    for content in ('{"speed": 1e300}', '{"began": 1e300}', '{"start": -1e18}', '{"speed": NaN}'):
        experiment.folder.clock.write_text(content)
        with pytest.raises(UserError, match="clock.json: is no clock"):
            clock.read(experiment)
