"""Extended forecasts whose members all begin as the truth: what a model's own error makes of an ensemble.

    python -m tests.benchmarks.from_truth EXPERIMENT.toml --starts 1992011500 1992021500 … --steps 20
    python -m verify skill-spread EXPERIMENT.toml --leads 6 24 72 120

Analyses of the experiment's members are the state of [verify] truth at each start; the forecasts are those of
`python -m model_server forecast EXPERIMENT.toml START --steps N --write members`.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from contracts import config, program, state, times
from contracts.nature import beside
from model_server import config as served
from model_server import extended, restart
from model_server.chosen import model_of
from verify.config import Settings


def main(arguments: Sequence[str]) -> None:
    parser = program.parser("python -m tests.benchmarks.from_truth", __doc__ or "",
                            "python -m tests.benchmarks.from_truth run/experiments/generative/from_truth_residuals.toml"
                            " --starts 1992011500 --steps 20")
    program.add_experiment(parser)
    parser.add_argument("--starts", nargs="+", type=times.parse, required=True, metavar="TIME")
    parser.add_argument("--steps", type=int, required=True, metavar="N", help="model steps")
    chosen = parser.parse_args(arguments)
    settings = served.load(chosen.experiment)
    model = model_of(settings)
    for start in chosen.starts:
        begin(chosen.experiment, settings, model.name, start)
        extended.extend(settings, model, start, chosen.steps, "members")


def begin(path: Path, settings: served.Settings, model: str, start: datetime) -> None:
    """Make the truth at `start` the analysis of every member, of which nothing is kept yet."""
    truth = config.load(path, Settings).truth(start)
    assert truth is not None
    fields, here = state.read(truth, settings.space, start), settings.experiment.folder.at(start)
    for number in range(1, settings.experiment.members + 1):
        if not here.analysis.member(number).exists():
            restart.write(beside(here.background.member(number)), restart.Kept({}), model, start)
            state.write(here.analysis.member(number), fields, number)


if __name__ == "__main__":
    program.run(main, "from_truth")
