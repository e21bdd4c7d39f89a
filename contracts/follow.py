"""What keeps a program alive across the times of an experiment: waiting for another's files, and ending when asked.

A service (`--follow`) goes over all times in order.  What it needs of a time appears by rename when it is complete,
so that waiting is looking at a name: every 20 ms at first, because a cycle takes seconds, every quarter of a second
after ten, because then nobody is in a hurry.

    with Follower(settings.experiment, "model_server") as follower:
        for time in settings.experiment.times():
            follower.wait(folder.at(time).departures.exists, f"the analysis of {times.name(time)}")
            …                                   # one step, written completely

It is asked to end by SIGTERM, by Ctrl-C or by the file `stop` in the experiment's folder: the step in hand is finished
and the next `wait` raises Stopped, which `program.run` turns into exit status 0.  A second SIGTERM ends it at once, a
second Ctrl-C only where the service was started by hand: shells let what they start in the background ignore it.  Files
appear by rename, so that nothing half is left then either.

What a service made and the next one has not read yet may be removed by someone.  Nobody would make it again, and all
would wait for one another for good: a service that has waited for long looks after what it made last (`made`).
"""

import logging
import signal
import threading
import time
from collections.abc import Callable

from contracts.config import Experiment
from contracts.errors import UserError

OFTEN, SELDOM = 0.02, 0.25  # s between two looks
IN_A_HURRY, SILENT = 10.0, 30.0  # s: how long looks are frequent; when the log says what is missing


class Stopped(Exception):
    """The stop file or a signal asked the service to end; the step in hand was finished."""


class Follower:
    """Made once per program; signals are taken only in the main thread, and given back when the block ends."""

    def __init__(self, experiment: Experiment, name: str):
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

    def wait(self, ready: Callable[[], bool], what: str) -> None:
        """Return when `ready()`; `what` names it in the log. Raises Stopped if asked to end, even when ready.

        Raises UserError where what was `made` last is gone: started again, the service makes it again.
        """
        began, told = time.monotonic(), False
        while True:
            if self.stopping:
                raise Stopped(f"stopped by {self._asked or self._stop_file}")
            if ready():
                return
            waited = time.monotonic() - began
            if waited >= IN_A_HURRY and not self.made():
                raise UserError(f"what was made last is gone while waiting for {what}; start this again to make it")
            if waited >= SILENT and not told:
                told = True
                self._log.info("waiting for %s", what)
            time.sleep(OFTEN if waited < IN_A_HURRY else SELDOM)

    def _ask(self, number: int, _: object) -> None:
        self._asked = signal.Signals(number).name
        self._give_back_signals()

    def _give_back_signals(self) -> None:
        while self._former:
            signal.signal(*self._former.popitem())
