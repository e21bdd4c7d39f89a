"""The stage itself: observations.nc of one time, or of all in order."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from contracts import clock as clocks
from contracts import config, frozen, observations, program, times
from contracts.clock import Clock
from contracts.errors import UserError
from contracts.follow import Follower
from obsproc import accounts, fetch, inflation, pipeline, realtime, synthetic, thinning
from obsproc.config import Settings

log = logging.getLogger("obsproc")


def make(arguments: Sequence[str]) -> None:
    """Write observations.nc of one time, or of all."""
    parser = program.parser(
        "python -m obsproc",
        "Make observations.nc of one analysis time from PREPBUFR, raw dumps, WMO BUFR, IODA or a list, or, in a twin\n"
        "experiment, from the truth; with --follow of all times that have none, in order, by one process.\n"
        "In real time ([experiment] mode) it waits for files that are still to come, as [realtime] says.\n"
        "To look into a PREPBUFR file: python -m obsproc inspect --help\n"
        "What became of each observation: python -m obsproc account --help\n"
        "To write PREPBUFR or IODA files, or read IODA: python -m obsproc encode --help, ... ioda --help",
        "python -m obsproc run/experiments/prepbufr_1989.toml 1989010112")
    program.add_experiment(parser)
    parser.add_argument("time", type=times.parse, metavar="TIME", nargs="?", help="analysis time, YYYYMMDDHH in UTC")
    parser.add_argument("--follow", action="store_true", help="instead of TIME: all times of the experiment")
    parser.add_argument("--wait", action="store_true",
                        help="in real time, where files of TIME may still come: wait instead of refusing")
    parser.add_argument("--speed", type=float, metavar="N",
                        help="a simulated clock that runs N times as fast, instead of [realtime] speed")
    given = parser.parse_args(arguments)
    if given.follow == (given.time is not None):
        parser.error("give either a TIME or --follow")
    if given.speed is not None and not given.speed > 0:
        parser.error("--speed must be more than 0")
    settings = config.load(given.experiment, Settings)
    if given.time is not None:
        settings.experiment.refuse_other(given.time)
    if given.follow:
        frozen.refuse_other(given.experiment, settings.experiment)
    clock = clock_of(settings, given.speed)
    if given.follow:
        follow(settings, settings.experiment.times(), clock, is_made)
    elif given.wait:
        follow(settings, [given.time], clock)
    else:
        refuse_early(settings, given.time, clock)
        make_one(settings, given.time, clock)


def clock_of(settings: Settings, speed: float | None) -> Clock | None:
    """The clock of an experiment in real time whose observations come as files; None where nothing is waited for."""
    if settings.experiment.mode != "realtime" or settings.observations.source == "synthetic":
        return None
    clock = clocks.of(settings.experiment, speed or settings.realtime.speed)
    if clock != Clock():
        log.info("simulated clock, %g times as fast as the real one: %s UTC", clock.speed,
                 f"{clock.now():%Y-%m-%d %H:%M}")
    return clock


def is_ready(settings: Settings, time: datetime, clock: Clock | None) -> bool:
    """Whether the observations of `time` can be made now; files that are due are asked for first, where [realtime]
    says so."""
    if clock is None:
        return True
    if settings.realtime.fetch and settings.realtime.due(time) <= clock.now() < settings.realtime.cutoff(time):
        fetch.ask(settings, time, clock)
    return realtime.is_ready(settings, time, clock)


def tell_ready(arguments: Sequence[str]) -> None:
    """Print whether the observations of a time can be made now, for workflow managers."""
    parser = program.parser(
        "python -m obsproc ready",
        "Say yes where the observations of an analysis time can be made now, no where [realtime] waits for files.",
        "python -m obsproc ready run/experiments/prepbufr_1989.toml 1989010112")
    program.add_experiment(parser)
    parser.add_argument("time", type=times.parse, metavar="TIME", help="analysis time, YYYYMMDDHH in UTC")
    given = parser.parse_args(arguments)
    settings = config.load(given.experiment, Settings)
    print("yes" if is_ready(settings, given.time, clock_of(settings, None)) else "no")


def refuse_early(settings: Settings, time: datetime, clock: Clock | None) -> None:
    """Raises UserError where files are still to come: what is made without them would never be made again."""
    if not is_ready(settings, time, clock):
        raise UserError(f"{times.name(time)}: not all of its observation files have arrived; run again when they have, "
                        f"or after the cut-off, {settings.realtime.cutoff(time):%Y-%m-%d %H:%M} UTC by [realtime], to "
                        "go on without them")


def is_made(settings: Settings, time: datetime) -> bool:
    """Whether the observations of `time` are there."""
    return settings.experiment.folder.at(time).observations.exists()


def follow(settings: Settings, some_times: Sequence[datetime], clock: Clock | None,
           done: Callable[[Settings, datetime], bool] = lambda settings, time: False) -> None:
    """Write observations.nc of these times that are not `done`, each when it can be made; raises Stopped if asked to
    end."""
    with Follower(settings.experiment, log.name) as follower:
        for time in follower.each_time(some_times, what="the observation files", made=partial(is_made, settings),
                                       ready=lambda time: is_ready(settings, time, clock),
                                       done=partial(done, settings)):
            make_one(settings, time, clock)


def make_one(settings: Settings, time: datetime, clock: Clock | None) -> None:
    """Write observations.nc of one time."""
    folder = settings.experiment.folder.at(time)
    with program.logging_to_file(folder.log("obsproc")):
        table, source = observe(settings, time, clock)
        table = thinning.apply(table, source, settings)
        table = inflation.apply(table, settings.error_inflation, settings.state.levels_hpa)
        log.info("%d observations of %s, by fate:\n%s", len(table), times.name(time), accounts.table(table))
        observations.write(folder.observations, table, source, settings.experiment.name)
        log.info("wrote %s", folder.observations)


def observe(settings: Settings, time: datetime,
            clock: Clock | None) -> tuple[observations.Observations, observations.Source]:
    if clock:
        return realtime.observe(settings, time, clock)
    if settings.observations.source == "synthetic":
        if not settings.synthetic.encode:
            return synthetic.observe(settings, time)
        settings = synthetic.encoded(settings, time)
    return pipeline.observe(settings, time)
