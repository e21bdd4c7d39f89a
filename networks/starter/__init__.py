"""What comes with the code, so that a first experiment needs nothing else: a packed nature run, trained weights.

Weights that demo and tests load are kept here, 30 MB in all; of others only the card is, with the command that makes
them and their sha256.

Where an experiment file asks for a file, a bare name (`climax_t31`) is one of these, and anything with a slash or a
suffix (`weights/climax.safetensors`) a path.
"""

import os
from pathlib import Path

from contracts.errors import UserError

FOLDER = Path(__file__).parent
WEIGHTS = ".safetensors"


def is_name(name: str) -> bool:
    """Whether it is one of what comes with the code, and no path."""
    path = Path(os.path.expandvars(name))
    return not path.suffix and len(path.parts) <= 1


def find(name: str, suffix: str) -> Path:
    """The file that `name` means; $NAMEs of the environment are filled in. Raises UserError on an unknown bare name.

    Weights of which only the card comes with the code are looked for beside it.
    """
    if not is_name(name):
        return Path(os.path.expandvars(name)).expanduser()
    shipped = FOLDER / f"{name}{suffix}"
    if not shipped.exists() and not (suffix == WEIGHTS and shipped.with_suffix(".toml").exists()):
        known = ", ".join(sorted(path.stem for path in FOLDER.glob(f"*{suffix}"))) or "none"
        raise UserError(f"{name}: no such file comes with this code; known: {known}; or write the path of a file "
                        f"of your own, {name}{suffix}")
    return shipped
