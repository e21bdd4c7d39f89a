"""Sections of the report that keep the record: the head, the table of cycles, settings and versions."""

import platform
from importlib import metadata

from contracts import netcdf
from verify import page, status
from verify.config import Settings
from verify.report.material import Material
from verify.serve import TABLE_NOTE, cycle_table, files_table

LIBRARIES = ("numpy", "scipy", "netCDF4", "matplotlib")


def head(material: Material) -> str:
    """Name, state and extent of the experiment."""
    experiment, found = material.settings.experiment, material.cycles
    now = status.of(material.settings)
    said = (f"{len(found)} of {now.planned} cycles, {found[0].time:%Y-%m-%d %H} to {found[-1].time:%Y-%m-%d %H} UTC, "
            f"every {experiment.step_hours} hours; {experiment.members} members; {material.settings.grid.grid()}.")
    return page.heading(experiment.name, now.state, now.reason) + page.paragraph(said)


def without_cycles(settings: Settings) -> str:
    """The head of an experiment of which there are forecasts alone."""
    name, grid = settings.experiment.name, settings.grid.grid()
    return page.heading(name, "forecasts alone") + page.paragraph(f"No time has an analysis with scores; {grid}.")


def cycles(material: Material) -> list[str]:
    """A row for each cycle, files that were not read, and what was warned of."""
    found = status.of(material.settings, last=len(material.cycles)).cycles
    warned = [[cycle.time, warning] for cycle in found for warning in cycle.warnings]
    return [
        page.paragraph(TABLE_NOTE, "note"),
        cycle_table(found),
        files_table(found),
        "<h3>Warnings</h3>" + page.table(["cycle", "what was said"], warned, 2) if warned else "",
    ]


def settings(material: Material) -> list[str]:
    """The experiment file as it was run, under the versions of the code that ran it; versions of libraries here."""
    kept = material.settings.experiment.folder.settings
    versions = [[name, metadata.version(name)] for name in LIBRARIES]
    rows = [["this report", netcdf.version()], ["Python", platform.python_version()], *versions]
    return [page.verbatim(kept.read_text()) if kept.exists() else "", page.table(["made with", "version"], rows, 2)]
