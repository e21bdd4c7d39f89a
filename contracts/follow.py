"""What keeps a program alive across the times of an experiment: waiting for another's files, and ending when asked.

A service (`--follow`) goes over all times in order.  What it needs of a time appears by rename when it is complete,
so that waiting is looking at a name: every 20 ms at first, because a cycle takes seconds, every quarter of a second
after ten, because then nobody is in a hurry.

    with Follower(settings.experiment, "model_server") as follower:
        for time in follower.each_time(settings.experiment.times(), ready, made, "the analysis"):
            …                                   # one step, written completely

It is asked to end by SIGTERM, by Ctrl-C or by the file `stop` in the experiment's folder: the step in hand is finished
and the next `wait` raises Stopped, which `program.run` turns into exit status 0.  A second SIGTERM ends it at once, a
second Ctrl-C only where the service was started by hand: shells let what they start in the background ignore it.  Files
appear by rename, so that nothing half is left then either.

What a service made and the next one has not read yet may be removed by someone.  Nobody would make it again, and all
would wait for one another for good: a service that has waited for long looks after what was made last, by itself
(`made`) or, where it was started again, before (`done`); it ends with an error, and started again makes it again.
"""

import logging
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING

from contracts import times
from contracts.errors import UserError

if TYPE_CHECKING:  # loading it takes longer than many a command takes
    from contracts.config import Experiment

OFTEN, SELDOM = 0.02, 0.25  # s between two looks
IN_A_HURRY, SILENT = 10.0, 30.0  # s: how long looks are frequent; when the log says what is missing


class Stopped(Exception):
    """The stop file or a signal asked the service to end; the step in hand was finished."""


def at_once(look: Callable[[], bool]) -> bool:
    return look()


def never(_: datetime) -> bool:
    return False


class Follower:
    """Made once per program; signals are taken only in the main thread, and given back when the block ends.

    A program of several processes, which must all see the same, gives its way of `looking`: it calls what it is given
    on one of them and returns to all what came out.
    """

    def __init__(self, experiment: "Experiment", name: str, looking: Callable[[Callable[[], bool]], bool] = at_once):
        self._looking = looking
        self._stop_file = experiment.folder.stop
        self._log = logging.getLogger(name)
        self.made: Callable[[], bool] = lambda: True  # set after each step: whether its product is there
        self._asked = ""
        self._former = {}
        if threading.current_thread() is threading.main_thread():
            self._former = {number: signal.signal(number, self._ask) for number in (signal.SIGTERM, signal.SIGINT)}

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back_signals()

    @property
    def stopping(self) -> bool:
        """Whether a signal was seen or the stop file is there."""
        return bool(self._asked) or self._stop_file.exists()

    def each_time(self, some_times: Iterable[datetime], ready: Callable[[datetime], bool],
                  made: Callable[[datetime], bool], what: str,
                  done: Callable[[datetime], bool] = never) -> Iterator[datetime]:
        """Each of these times once `what` it needs is `ready`, but for those that are `done`.

        `made` says of a time whether what the step on it left is there.  Of a time that was `done`, by a service that
        has died since or by hand, that has to stay so.  Raises as `wait` does.
        """
        for time in some_times:
            if self._looking(partial(self._comes, time, ready, what, done)):
                yield time
                self.made = partial(made, time)
            else:
                self.made = partial(done, time)

    def _comes(self, time: datetime, ready: Callable[[datetime], bool], what: str,
               done: Callable[[datetime], bool]) -> bool:
        """Whether there is something to do at a time: at once where there is not, else when it is ready."""
        if done(time):
            return False
        self.wait(partial(ready, time), f"{what} of {times.name(time)}")
        return True

    def wait(self, ready: Callable[[], bool], what: str) -> None:
        """Return when `ready()`; `what` names it in the log. Raises Stopped if asked to end, even when ready.

        Raises UserError where what was `made` last is gone: started again, the service makes it again.
        """
        began, told = monotonic(), False
        while True:
            if self.stopping:
                raise Stopped(f"stopped by {self._asked or self._stop_file}")
            if ready():
                return
            waited = monotonic() - began
            if waited >= IN_A_HURRY and not self.made():
                raise UserError(f"what was made last is gone while waiting for {what}; start this again to make it")
            if waited >= SILENT and not told:
                told = True
                self._log.info("waiting for %s", what)
            sleep(OFTEN if waited < IN_A_HURRY else SELDOM)

    def _ask(self, number: int, _: object) -> None:
        self._asked = signal.Signals(number).name
        self._give_back_signals()

    def _give_back_signals(self) -> None:
        while self._former:
            signal.signal(*self._former.popitem())
