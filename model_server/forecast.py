"""The ensemble forecast of a cycle: analyses at one time -> backgrounds at the next (`backgrounds`)."""

from collections.abc import Sequence
from datetime import datetime

from contracts import program, times
from model_server import config, environment, extended, serve
from model_server.backgrounds import write_background
from model_server.chosen import model_of


def main(arguments: Sequence[str]) -> None:
    parser = program.parser(
        "python -m model_server forecast",
        "Forecast every member from TIME/analysis to the background of the next analysis time; with --follow of all\n"
        "times, waiting for each analysis; with --steps an extended forecast into TIME/forecast/006h, 012h, …",
        "python -m model_server forecast run/experiments/twin_speedy.toml 1989010106",
    )
    program.add_experiment(parser)
    parser.add_argument("time", metavar="TIME", nargs="?", type=times.parse,
                        help="time of the analysis, YYYYMMDDHH in UTC")
    parser.add_argument("--follow", action="store_true",
                        help="instead of TIME: all times of the experiment, as by `serve --follow`")
    parser.add_argument("--steps", type=int, metavar="N",
                        help="an extended forecast of N model steps, such as 40 of 6 h for ten days")
    parser.add_argument("--write", choices=extended.PRODUCTS,
                        help="of an extended forecast: mean and spread (default), or the members too")
    options = parser.parse_args(arguments)
    if options.follow == (options.time is not None) or options.follow and options.steps is not None:
        parser.error("give a TIME, or --follow and no --steps")
    if options.write and options.steps is None:
        parser.error("--write belongs to an extended forecast: give --steps too")
    if options.follow:
        serve.main([str(options.experiment), "--follow"])
        return
    settings = environment.load(options.experiment)
    settings.experiment.refuse_other(options.time)
    program.log_to_file(settings.experiment.folder.at(options.time).log("forecast"))
    if options.steps is None:
        forecast(settings, options.time)
    else:
        extended.extend(settings, model_of(settings), options.time, options.steps, options.write or "statistics")


def forecast(settings: config.Settings, time: datetime) -> None:
    """Load the model and write the backgrounds that follow the analyses of `time`."""
    write_background(settings, model_of(settings), time)


if __name__ == "__main__":
    program.run(main, "model_server.forecast")
