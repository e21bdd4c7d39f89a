"""Whom to tell at once: `[run] on_event` is run when an experiment becomes STALLED, stopped or complete.

It is a line for bash, which finds in its environment

    EVENT       STALLED, stopped or complete
    REASON      the sentence that the status gives, empty where it gives none
    NAME        of the experiment
    FOLDER      the experiment's
    CYCLE       the first cycle that is not finished

It is told by who writes the status, once for each change of the state, after status.json says the same.  A line that
fails, or takes longer than a minute, is warned of and changes nothing else.
"""

import logging
import os
import subprocess
from pathlib import Path

import msgspec

from verify.status import Status

EVENTS = ("STALLED", "stopped", "complete")
LONGEST_SECONDS = 60.0
log = logging.getLogger("verify.events")


class _Said(msgspec.Struct, frozen=True):
    state: str = ""


def said(file: Path) -> str:
    """The state that the status file says; empty where there is none, or one of another make."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Said).state
    except (OSError, msgspec.MsgspecError):
        return ""


def tell(command: str, before: str, now: Status, folder: Path) -> None:
    """Run `command` where the state is one of the `EVENTS` and was another `before`."""
    if not command or now.state == before or now.state not in EVENTS:
        return
    told = {"EVENT": now.state, "REASON": now.reason, "NAME": now.experiment, "FOLDER": str(folder), "CYCLE": now.now}
    try:
        done = subprocess.run(["bash", "-c", command], env={**os.environ, **told}, timeout=LONGEST_SECONDS,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("[run] on_event: %s", error)
        return
    if done.returncode:
        log.warning("[run] on_event: ended with status %d: %s", done.returncode, (done.stderr or done.stdout).strip())
