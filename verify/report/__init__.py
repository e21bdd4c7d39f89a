"""`python -m verify report EXPERIMENT.toml`: all that an experiment's files say, in one page that needs nothing else.

`report.html` in the experiment's folder: scores against the truth, fit to the observations, ranks, spread and skill,
maps of the last analysis, energy by scale, the free ensemble, a table of cycles, settings.  What has no data is left
out.
"""

from collections.abc import Sequence
from pathlib import Path

from contracts import config, program, times
from verify import page, status
from verify.config import Settings
from verify.report import maps, observed, record, spectra, truth
from verify.report.material import Material


def main(arguments: Sequence[str]) -> None:
    """Write the report and print its path; raises UserError where no time has scores."""
    parser = program.parser("python -m verify report", __doc__ or "",
                            "python -m verify report run/experiments/twin_speedy.toml")
    program.add_experiment(parser)
    print(write(config.load(parser.parse_args(arguments).experiment, Settings)))


def write(settings: Settings) -> Path:
    """Write `report.html` and return its path."""
    path = status.report_file(settings)
    status.write(path, html(Material.read(settings)))
    return path


def html(material: Material) -> str:
    """The whole page."""
    sections = {
        "skill": ("Against the truth", truth.skill(material)),
        "fit": ("Fit to the observations", observed.fit(material)),
        "ranks": ("Ranks of the observations", observed.ranks(material)),
        "spread-skill": ("Spread and skill", observed.spread_skill(material)),
        "maps": (f"Maps of {times.name(material.last.time)}", maps.maps(material)),
        "spectrum": ("Energy by scale", spectra.spectra(material)),
        "drift": ("Without any analysis", truth.drift(material)),
        "cycles": ("Cycles", record.cycles(material)),
        "settings": ("Settings and versions", record.settings(material)),
    }
    present = {name: (title, parts) for name, (title, parts) in sections.items() if any(parts)}
    body = [record.head(material), page.contents({name: title for name, (title, _) in present.items()})]
    body += [page.section(name, title, *parts) for name, (title, parts) in present.items()]
    return page.document(f"Report: {material.settings.experiment.name}", "\n".join(body))
