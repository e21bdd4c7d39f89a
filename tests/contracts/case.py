"""A small experiment file."""

from contracts import __main__ as shell
from contracts import config

TEXT = """
[experiment]
name = "short"
start = 1989-01-01T18:00:00Z
end = 1989-01-02T06:00:00Z
members = 3
[inflation]
factor = 1.1
"""


def written(folder, text=TEXT):
    path = folder / "short.toml"
    path.write_text(text)
    return path


def experiment_of(folder):
    return config.load(written(folder), shell.Settings).experiment
