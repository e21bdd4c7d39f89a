"""No file of any room needs, round some corners, itself; and all of a room is installed."""

from collections.abc import Iterable
from pathlib import Path

import grimp
import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

CHECKOUT = Path(__file__).resolve().parents[1]
ROOMS = ("contracts", "obsoperator", "networks", "obsproc", "letkf_mpi", "neural_da", "model_server", "verify",
         "letkf")


def circles(imports: Iterable[tuple[str, str]]) -> list[list[str]]:
    """The sets of modules that import one another round in a circle, of pairs (importer, imported)."""
    pairs = sorted(imports)
    names = sorted({name for pair in pairs for name in pair})
    number = {name: place for place, name in enumerate(names)}
    rows, columns = (np.array([number[pair[end]] for pair in pairs], int) for end in (0, 1))
    graph = coo_array((np.ones(len(pairs)), (rows, columns)), shape=(len(names), len(names)))
    count, labels = connected_components(graph, connection="strong")
    groups = [[name for name, label in zip(names, labels, strict=True) if label == one] for one in range(count)]
    return [group for group in groups if len(group) > 1]


def test_a_circle_is_found():
    assert circles([("a", "b"), ("b", "c"), ("c", "a"), ("a", "d")]) == [["a", "b", "c"]]
    assert circles([("a", "b"), ("b", "c"), ("a", "c")]) == []


def only_compiled(graph: grimp.ImportGraph, importer: str, imported: str) -> bool:
    """Whether a package is imported only for a compiled part in its folder, which is no file of Python."""
    folder = CHECKOUT.joinpath(*imported.split("."))
    lines = [detail["line_contents"] for detail in graph.get_import_details(importer=importer, imported=imported)]
    return all((folder / f"{line.split()[-1]}.c").exists() for line in lines)


@pytest.mark.parametrize("room", ROOMS)
def test_no_files_import_one_another_in_a_circle(room):
    graph = grimp.build_graph(room, cache_dir=None)
    imports = [(module, other) for module in graph.modules for other in graph.find_modules_directly_imported_by(module)]
    assert circles(pair for pair in imports if not only_compiled(graph, *pair)) == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_folder_of_code_is_a_package_and_so_part_of_what_is_installed(room):
    folders = {path.parent for path in (CHECKOUT / room).rglob("*.py")}
    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
