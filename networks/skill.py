"""`skill`: how good finished weights are in a period that neither training nor the choice of weights has seen.

Forecasts from evenly spread states of the test period, against persistence and climatology from the same states;
and one free run from its first state, held against the climate of the training data: the first day on which the
global mean of a field leaves the range between the 1st and the 99th percentile of all training states.  With
`--against` the same forecasts by other weights, start by start.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from contracts import program
from contracts.errors import UserError
from networks import card as cards
from networks.checkpoint import card_path
from networks.training import config
from networks.unseen import refuse_seen

log = logging.getLogger("networks.skill")


def main(arguments: Sequence[str]) -> None:
    parser = program.parser(
        "python -m networks skill",
        "Score the weights that `train` made in the test period of [training]: RMSE and ACC by lead time beside those\n"
        "of persistence and climatology, and how long a free run stays inside the climate. Writes skill.csv and\n"
        "drift.csv beside the weights and prints a table. With --against it writes paired.csv instead, and prints by\n"
        "how much others err more or less from the same starts, with half of a 95 per cent interval over them.",
        "python -m networks skill run/experiments/models/native_global.toml \\\n"
        "      --against run/experiments/models/native_windowed.toml",
    )
    program.add_experiment(parser)
    parser.add_argument("--free-days", type=int, default=120, metavar="DAYS",
                        help="length of the free run (default: 120)")
    parser.add_argument("--against", type=Path, nargs="+", default=[], metavar="OTHER",
                        help="experiment files of other weights for the same states; without a free run")
    parser.add_argument("--starts", type=int, metavar="N",
                        help="forecasts, evenly spread over the period (default: validation_samples)")
    options = parser.parse_args(arguments)
    for name, least in (("free_days", 1), ("starts", 2)):
        if (value := getattr(options, name)) is not None and value < least:
            raise UserError(f"--{name.replace('_', '-')} must be at least {least}, got {value}")
    settings = config.load(options.experiment)
    test = settings.test
    if test is None:
        raise UserError(f"{options.experiment}: [training] names no test_start and test_end; add a period that is in "
                        "neither training nor validation")
    if options.starts is not None:
        training = msgspec.structs.replace(settings.training, validation_samples=options.starts)
        settings = msgspec.structs.replace(settings, training=training)
    others = [config.load(path) for path in options.against]
    for one in (settings, *others):
        refuse_seen(one.weights, seen_by(one.weights), *test)
    try:
        from networks.training import paired, skill
    except ModuleNotFoundError as error:
        raise UserError(f"the network needs the package {error.name}: pip install 'letkf-mpi[torch]'") from None
    print(paired.report(settings, others) if others else skill.report(settings, options.free_days))


def seen_by(weights: Path) -> tuple[tuple[datetime, datetime], ...]:
    """Times that finished weights, and those that they began with, have seen; UserError where there are no weights."""
    if not weights.exists():
        raise UserError(f"{weights}: no such file; python -m networks train, with the same experiment file, makes it")
    return cards.read(card_path(weights), weights).seen
