"""`python -m verify report EXPERIMENT.toml`: all that an experiment's files say, in one page that needs nothing else.

`report.html` in the experiment's folder: the weather, scores against the truth, fit to the observations, ranks, spread
and skill, maps of the last analysis, balance of its increment, how it was found where it minimises, its members beside
the truth, spread on a finer grid, energy by scale, the free ensemble, extended forecasts by lead, a free run of years,
a table of cycles, settings.  What has no data is left out: an experiment without cycles has a report of its forecasts
alone.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from contracts import config, program, times
from contracts.errors import UserError
from verify import page, status
from verify.config import Settings
from verify.report import (
    balanced,
    downscaled,
    free,
    leads,
    maps,
    minimisation,
    observed,
    record,
    samples,
    spectra,
    truth,
    weather,
)
from verify.report.material import Material

Sections = dict[str, tuple[str, list[str]]]  # by name in the page: title and parts


def main(arguments: Sequence[str]) -> None:
    """Write the report and print its path; raises UserError where there is nothing to report."""
    parser = program.parser("python -m verify report", __doc__ or "",
                            "python -m verify report run/experiments/twin_speedy.toml")
    program.add_experiment(parser)
    parser.add_argument("--at", type=times.parse, nargs="+", default=[], metavar="TIME",
                        help="show the weather of these times, such as 1992010106, and of the last; default: some "
                        "evenly spaced ones")
    chosen = parser.parse_args(arguments)
    print(write(config.load(chosen.experiment, Settings), chosen.at))


def write(settings: Settings, at: Sequence[datetime] = ()) -> Path:
    """Write `report.html` and return its path; raises UserError where one of the times `at` has no scores."""
    path, forecasts = status.report_file(settings), of_forecasts(settings)
    if forecasts and not at and not Material.scored(settings):
        status.write(path, _document(settings, record.without_cycles(settings), forecasts))
        return path
    material = Material.read(settings, tuple(at))
    scored = {cycle.time for cycle in material.cycles}
    for time in at:
        if time not in scored:
            raise UserError(f"--at {times.name(time)}: has no scores; expected times from "
                            f"{times.name(min(scored))} to {times.name(max(scored))} that have")
    if len(at) >= page.MOST_CHOICES:
        raise UserError(f"--at: expected fewer than {page.MOST_CHOICES} times, got {len(at)}")
    status.write(path, html(material))
    return path


def html(material: Material) -> str:
    """The whole page."""
    sections: Sections = {
        "weather": ("Weather", weather.weather(material)),
        "skill": ("Against the truth", truth.skill(material)),
        "fit": ("Fit to the observations", observed.fit(material)),
        "ranks": ("Ranks of the observations", observed.ranks(material)),
        "spread-skill": ("Spread and skill", observed.spread_skill(material)),
        "maps": (f"Maps of {times.name(material.last.time)}", maps.maps(material)),
        "balance": ("Balance of the increment", balanced.balanced(material)),
        "minimisation": ("Minimisation", minimisation.minimisation(material)),
        "samples": (f"Members beside the truth, {times.name(material.last.time)}", samples.samples(material)),
        "downscaled": ("Spread on a finer grid", downscaled.maps(material)),
        "spectrum": ("Energy by scale", spectra.spectra(material)),
        "drift": ("Without any analysis", truth.drift(material)),
        **of_forecasts(material.settings),
        "cycles": ("Cycles", record.cycles(material)),
        "settings": ("Settings and versions", record.settings(material)),
    }
    return _document(material.settings, record.head(material), sections)


def of_forecasts(settings: Settings) -> Sections:
    """Those that need no cycles."""
    sections = {"leads": ("Forecasts by lead", leads.leads(settings)),
                "free-run": ("Years without an observation", free.free(settings))}
    return {name: section for name, section in sections.items() if any(section[1])}


def _document(settings: Settings, head: str, sections: Sections) -> str:
    present = {name: (title, parts) for name, (title, parts) in sections.items() if any(parts)}
    body = [head, page.contents({name: title for name, (title, _) in present.items()})]
    body += [page.section(name, title, *parts) for name, (title, parts) in present.items()]
    return page.document(f"Report: {settings.experiment.name}", "\n".join(body))
