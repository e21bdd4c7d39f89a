"""The experiment files that come with the code."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "run" / "experiments"
EXPERIMENTS = sorted(FOLDER.rglob("*.toml"))
