"""Forecasts from observations: what was observed at the last times in, the state to come out.

    python -m neural_da.predict EXPERIMENT.toml 1992010100                     # writes TIME/forecast/012h/ensmean.nc, …
    python -m neural_da.predict EXPERIMENT.toml 1992010100 --at 52.5 13.4 30   # what it says of a place 30 h later

The network of `[predict] weights` (`python -m networks train`, kind "o2f") begins with the climate that it knows, takes
in what `observations.nc` of the last times say, and steps on.  It forecasts what its stations see; the other channels
of the files hold the mean of the date of `[predict] climate`, a Gaussian climate of states, and the log names them.
Between its steps a state is interpolated in time.
"""

import argparse
import logging
from collections.abc import Sequence

from contracts import program
from contracts.errors import UserError
from neural_da.predict_config import load

PROGRAM = "neural_da.predict"
log = logging.getLogger(PROGRAM)


def main(arguments: Sequence[str]) -> None:
    parser = program.parser(
        PROGRAM, "Forecast from what was observed at a time and before, with the network of [predict].",
        "python -m neural_da.predict run/experiments/generative/predict.toml 1992010100")
    program.add_experiment(parser)
    parser.add_argument("time", metavar="TIME", help="YYYYMMDDHH in UTC, the last whose observations are known")
    parser.add_argument("--at", nargs=3, type=float, metavar=("LAT", "LON", "HOURS"), action="append", default=[],
                        help="print what is forecast of this place so many hours later; as often as wanted")
    chosen = parser.parse_args(arguments)
    settings = load(chosen.experiment)
    time = settings.experiment.time_of(chosen.time)
    _refuse_beyond(chosen, settings.predict.hours)
    from neural_da.predicting import Predictor  # here, because torch takes a second, too long for a word of help

    with program.logging_to_file(settings.experiment.folder.at(time).log("predict")):
        predictor = Predictor.of(settings, time)
        if not chosen.at:
            predictor.write(time)
        for lat, lon, hours in chosen.at:
            for line in predictor.told(time, lat, lon, hours):
                print(line)


def _refuse_beyond(chosen: argparse.Namespace, hours: int) -> None:
    for lat, lon, lead in chosen.at:
        if not (-90 <= lat <= 90 and -360 <= lon <= 360 and 0 < lead <= hours):
            raise UserError("--at: expected a latitude, a longitude and hours after TIME up to [predict] hours = "
                            f"{hours}, such as 52.5 13.4 30, got {lat:g} {lon:g} {lead:g}")


if __name__ == "__main__":
    program.run(main, PROGRAM)
