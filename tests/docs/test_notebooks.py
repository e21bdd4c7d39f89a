"""The notebooks run from their first cell to their last, and are stored with outputs that a repository can bear."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "docs" / "notebooks").glob("*.ipynb"))
CELL_LIMIT_S = 600  # on a quiet machine none takes half a minute
MOST_BYTES = 400_000


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def pictures(notebook: nbformat.NotebookNode) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


def words(notebook: nbformat.NotebookNode) -> str:
    return "".join(output.get("text", "") for output in outputs(notebook))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request) -> Path:
    return request.param


def test_a_notebook_runs_and_says_what_is_stored(notebook, samples, tmp_path, monkeypatch):
    """The same tables to the first word of each line, and as many pictures."""
    monkeypatch.setenv("LETKF_SAMPLES", str(samples))
    stored = nbformat.read(notebook, as_version=4)
    run = nbformat.read(notebook, as_version=4)
    NotebookClient(run, timeout=CELL_LIMIT_S, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert pictures(run) == pictures(stored) > 0
    assert [line.split()[:1] for line in words(run).splitlines()] == [
        line.split()[:1] for line in words(stored).splitlines()]


def test_a_notebook_is_small_and_names_no_place_of_the_machine_that_it_ran_on(notebook):
    stored = nbformat.read(notebook, as_version=4)
    assert notebook.stat().st_size < MOST_BYTES
    assert not [line for line in words(stored).splitlines() if re.search(r"(^|\s)/\w", line)]
    assert all(output.output_type in ("stream", "display_data") and output.get("name") != "stderr"
               for output in outputs(stored))
