"""Where the corridor is: the folder with `cycle.sh` and the experiments that come with the code."""

from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
PLACES = (HERE.parent / "run", HERE / "run")  # of a checkout, and as it is installed from a wheel


def folder(places: Sequence[Path] = PLACES) -> Path:
    """Raises FileNotFoundError where neither place has it, as after an installation that was cut short."""
    for place in places:
        if (place / "cycle.sh").exists():
            return place
    looked = " or ".join(map(str, places))
    raise FileNotFoundError(f"cycle.sh: expected in {looked}, it is not there: install letkf-mpi anew")


def experiments(corridor: Path) -> dict[str, Path]:
    """The experiments that come with the code, by name: `twin_climax`, `year/climax_600km`."""
    return _files(corridor / "experiments")


def _files(root: Path) -> dict[str, Path]:
    return {str(path.relative_to(root).with_suffix("")): path for path in sorted(root.rglob("*.toml"))}


def known(corridor: Path) -> dict[str, Path]:
    """Experiments and leagues that come with the code, by name."""
    return experiments(corridor) | _files(corridor / "leagues")


def experiment(word: str, known: Mapping[str, Path]) -> str:
    """The file that `word` means: a file of its own, or else one of those that are `known`."""
    return word if Path(word).exists() else str(known.get(word, word))


def title(path: Path) -> str:
    """The first sentence of what an experiment file says of itself."""
    comment = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# "))
    return " ".join(comment).split(". ")[0].rstrip(".")
