"""The experiment files that come with the code."""

import tomllib
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "run" / "experiments"
EXPERIMENTS = [path for path in sorted(FOLDER.rglob("*.toml")) if "contestant" not in tomllib.loads(path.read_text())]
# and what else lies there: contestants of a league
