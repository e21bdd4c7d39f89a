"""`python -m docs FOLDER`: build the site in FOLDER/site; a link that leads nowhere is an error."""

import argparse
import json
import shutil
import sys
from pathlib import Path

from sphinx.cmd.build import build_main

from docs import gather, pictures, settings


def main() -> None:
    """Leave with Sphinx's exit status."""
    parser = argparse.ArgumentParser(prog="python -m docs", description=__doc__,
                                     epilog="example:  python -m docs build/docs")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    words = [str(sources(folder / "source")), str(folder / "site")]
    sys.exit(build_main(["-W", "--keep-going", "-q", "-b", "html", *words]))


def sources(folder: Path) -> Path:
    """All that Sphinx reads, made anew in `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    gather.gather(folder)
    pictures.draw(folder / "pictures")
    (folder / "settings.md").write_text(settings.page(), encoding="utf-8")
    (folder / "experiment.schema.json").write_text(json.dumps(settings.schema(), indent=1), encoding="utf-8")
    return folder


if __name__ == "__main__":
    main()
