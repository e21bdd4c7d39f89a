"""READMEs and notebooks become pages: at the same path, so that their links to one another hold.

What a page links to that is no page, such as a folder of experiments, becomes its name: the site holds no code.
"""

import base64
import re
import shutil
from pathlib import Path

import nbformat

from docs import quoted

CHECKOUT = Path(__file__).resolve().parents[1]
PAGES = CHECKOUT / "docs" / "pages"
FOLLOWS = {  # the parts of the table of contents
    "Begin": ["begin", "docs/notebooks/prepbufr_to_map", "run/README", "obsproc/README"],
    "AI models": ["model_server/README", "networks/README", "networks/climax/README", "networks/climate/README"],
    "Analyses": ["letkf_mpi/README", "docs/notebooks/lorenz_96", "neural_da/README", "obsoperator/README"],
    "What came of it": ["which_method", "paper", "verify/README", "run/experiments/league/RESULTS",
                        "run/experiments/claims/RESULTS", "run/experiments/RESULTS", "run/experiments/latent/RESULTS",
                        "run/experiments/generative/RESULTS", "run/experiments/neural/RESULTS",
                        "run/experiments/observations/RESULTS", "run/experiments/members/RESULTS",
                        "tests/benchmarks/README"],
    "Reference": ["settings", "contracts/README", "functions", "exit_statuses", "upgrading", "CHANGELOG",
                  "CONTRIBUTING"],
}
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")


def gather(folder: Path) -> None:
    """Every page of `FOLLOWS` and the README as index.md, but those that are read off the code."""
    for name in ("README", *(page for pages in FOLLOWS.values() for page in pages)):
        places = (CHECKOUT / f"{name}.md", PAGES / f"{name}.md", CHECKOUT / f"{name}.ipynb")
        source = next((path for path in places if path.exists()), None)
        if source is None:
            continue  # the settings
        target = folder / ("index.md" if name == "README" else f"{name}.md")
        target.parent.mkdir(parents=True, exist_ok=True)
        text = told(source, target) if source.suffix == ".ipynb" else source.read_text(encoding="utf-8")
        text = quoted.filled(text) if source.parent == PAGES else text
        target.write_text(linked(text, source), encoding="utf-8")
    with (folder / "index.md").open("a", encoding="utf-8") as index:
        index.write("".join(contents(title, pages) for title, pages in FOLLOWS.items()))
    shutil.copy(CHECKOUT / "docs" / "conf.py", folder)


def linked(text: str, source: Path) -> str:
    """`text` of the file `source` with links to pages alone; raises ValueError where one leads nowhere."""
    def mended(link: re.Match[str]) -> str:
        words, where = link.groups()
        path, _, part = where.partition("#")
        if "://" in where or not path:
            return link[0]
        here = PAGES.parent.parent if source.parent == PAGES else source.parent
        target = (here / path).resolve()
        if not target.exists() and not (PAGES / path).exists():
            raise ValueError(f"{source}: the link to {where} leads nowhere: mend or remove it")
        name = str(target.relative_to(CHECKOUT).with_suffix(""))
        if name == "README":
            return link[0].replace("README.md", "index.md")
        return link[0].replace(".ipynb", ".md") if any(name in pages for pages in FOLLOWS.values()) else words

    return _LINK.sub(mended, text)


def told(notebook: Path, target: Path) -> str:
    """A notebook and what is stored of its outputs as Markdown; pictures go beside `target`."""
    parts = []
    for number, cell in enumerate(nbformat.read(notebook, as_version=4).cells):
        parts.append(cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```")
        for output in cell.get("outputs", ()):
            if "text" in output:
                parts.append(f"```\n{output.text.rstrip()}\n```")
            elif "image/png" in output.get("data", {}):
                picture = target.with_name(f"{target.stem}_{number}.png")
                picture.write_bytes(base64.b64decode(output.data["image/png"]))
                parts.append(f"![]({picture.name})")
    return "\n\n".join(parts) + "\n"


def contents(title: str, pages: list[str]) -> str:
    """A part of the table of contents, in the words of MyST."""
    return "\n".join(["", "```{toctree}", ":hidden:", f":caption: {title}", "", *pages, "```", ""])
