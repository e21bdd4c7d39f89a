"""Recipes for containers name what is there."""

import configparser
import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
INSTALL = CHECKOUT / "run" / "install"
RECIPES = [path for path in sorted(INSTALL.iterdir()) if path.is_file() and path.suffix != ".txt"]
LISTS = sorted(INSTALL.glob("*.txt"))  # of packages for an environment of its own


def extras() -> set[str]:
    setup = configparser.ConfigParser()
    setup.read(CHECKOUT / "setup.cfg")
    return set(setup["options.extras_require"])


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_a_recipe_asks_for_extras_that_exist_and_for_its_own_path(recipe):
    text = recipe.read_text(encoding="utf-8")
    asked = [name for words in re.findall(r"(?:/src|'\.|letkf-mpi)\[([a-z,]+)\]", text) for name in words.split(",")]
    assert asked and set(asked) <= extras()
    for path in re.findall(r"run/\S+?\.(?:def|yml|sh)", text):
        assert (CHECKOUT / path).exists(), path


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.name)
def test_a_list_of_packages_pins_each_and_has_its_target_in_the_makefile(path):
    packages = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert packages and [line for line in packages if not re.fullmatch(r"[A-Za-z0-9._\[\]-]+==\S+", line)] == []
    assert re.search(rf"^\.PHONY:.*\b{path.stem}\b", (CHECKOUT / "Makefile").read_text(encoding="utf-8"), re.M)
