"""Recipes for containers name what is there."""

import configparser
import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
RECIPES = [path for path in sorted((CHECKOUT / "run" / "install").iterdir()) if path.is_file()]


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
