"""The Python that a forecast model runs in: this one, or that of an environment of its own.

Some packages of models do not agree with ours on the versions of others.  Such a model lives in an environment of its
own, which has this system too; stages speak by files, so that another Python for the forecast is all that is needed.
A command that makes the forecast model begins again there, the same process by the same words: who started it, waits
for it or sends it a signal sees no difference.

The environment is that of `[model] python`, or the one that `make NAME` made beside the packages of this Python.
"""

import os
import sys
from pathlib import Path

from contracts.errors import UserError
from model_server import config, models
from model_server.config import Model, Settings

INSIDE = "MODEL_SERVER_PYTHON"  # in the environment of a command that began again: by which interpreter


def load(path: Path) -> Settings:
    """The experiment file, read in the Python of its forecast model: where this is another the command begins again
    there.  Raises UserError as `config.load`, or where that Python is not there."""
    settings = config.load(path)
    python = python_of(settings.model)
    if python is not None and str(python) not in (os.environ.get(INSIDE), sys.executable):
        _begin_again(python, settings.model.name)
    return settings


def python_of(model: Model) -> Path | None:
    """The interpreter that `model` asks for, None where any will do; raises UserError where it is not there."""
    if not model.python:
        made = Path(sys.prefix, model.name, "bin", "python")
        return made if models.package(model.name) and made.exists() else None
    named = Path(os.path.expandvars(model.python)).expanduser()
    if not os.path.isfile(named) or not os.access(named, os.X_OK):  # which bears a name too long
        raise UserError(f"[model] python = {model.python!r}: there is no interpreter {named}; name the bin/python of "
                        "an environment that has the model's package and this system")
    return named


def refuse_absent(model: Model) -> None:
    """Raises UserError where the package of `model` is neither here nor in an environment of its own."""
    if python_of(model) is None:
        models.refuse_absent(model.name)


def _begin_again(python: Path, model: str) -> None:
    spoken = getattr(sys.modules["__main__"].__spec__, "name", "")
    if not spoken.startswith("model_server"):  # whatever it is, it is not ours to end
        raise UserError(f"the model {model} runs in {python}: start it by a command, python -m model_server …")
    os.environ[INSIDE] = str(python)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(python, [str(python), *sys.orig_argv[1:]])
