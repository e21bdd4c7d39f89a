"""The site can be built, says all settings, and names no command that is not there."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from contracts import base, programs
from docs import gather, settings
from letkf import command, corridor

CHECKOUT = Path(__file__).resolve().parents[2]
READ = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("[a-z]*/README.md"), *CHECKOUT.glob("[a-z]*/*/README.md"),
               *(CHECKOUT / "run" / "experiments").rglob("*.md"), *(CHECKOUT / "docs" / "pages").glob("*.md")])
READ = [path for path in READ if "build" not in path.parts]
OURS = {path.parent.name for path in CHECKOUT.glob("*/__init__.py")}
EXPERIMENTS = corridor.experiments(corridor.folder())


def test_the_site_is_built_without_a_link_that_leads_nowhere(tmp_path):
    done = subprocess.run([sys.executable, "-m", "docs", str(tmp_path)], cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    index = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert 'href="obsproc/README.html"' in index and 'href="settings.html"' in index


def test_a_link_that_leads_nowhere_is_refused():
    with pytest.raises(ValueError, match="nowhere.md leads nowhere"):
        gather.linked("see [this](nowhere.md)", CHECKOUT / "README.md")


def test_every_section_has_its_table():
    told = settings.page()
    assert [name for name in programs.sections() if f"## [{name}]\n" not in told] == []


def test_a_setting_is_told_with_its_default_its_range_and_its_meaning():
    assert "| `members` | `20` | integer ≥ 2, ≤ 9999 |  |" in settings.page()
    assert "| `seed` | `1` | integer ≥ 0 | of everything random |" in settings.page()


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(settings.schema())
    return jsonschema.Draft202012Validator(settings.schema())


def said(value: Any) -> Any:
    """A tree of TOML as an editor sees it: times are strings."""
    if isinstance(value, dict):
        return {name: said(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [said(inner) for inner in value]
    return value.isoformat() if isinstance(value, datetime) else value


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_schema_accepts_every_experiment_that_comes_with_the_code(validator, name):
    experiment = said(tomllib.loads(base.complete(EXPERIMENTS[name])))
    errors = [f"{list(error.path)}: {error.message}" for error in validator.iter_errors(experiment)]
    assert errors == []


@pytest.mark.parametrize("text", ['[experiment]\nname = "x"\nmembers = 1', '[localisation]\nhorizontal_km = 1.0',
                                  '[localization]\nhorizontal_km = -1.0'])
def test_the_schema_refuses_what_the_programs_refuse(validator, text):
    assert list(validator.iter_errors(tomllib.loads(text)))


def commands() -> list[str]:
    """Lines of the READMEs that begin with a command of ours."""
    lines = [line.strip() for path in READ for line in path.read_text(encoding="utf-8").splitlines()]
    spoken = [word for line in lines for word in re.findall(r"`([^`]+)`", line)]
    return sorted({line for line in [*lines, *spoken]
                   if re.match(r"(\S+ )?python -m (?!venv|pip|pytest)[a-z_.]+|run/\S+\.sh|letkf [a-z]+", line)})


@pytest.mark.parametrize("line", commands())
def test_every_command_that_a_page_names_is_there(line):
    words = line.split("#")[0].split()
    if words[0] == "letkf":
        assert words[1] in {**command.COMMANDS, "experiments": None}
    elif words[0].startswith("run/"):
        assert (CHECKOUT / words[0]).exists()
    else:
        module = words[words.index("-m") + 1].rstrip(":.,")
        assert module.split(".")[0] not in OURS or importlib.util.find_spec(module), module
