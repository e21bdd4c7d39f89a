"""What every program shares on the command line: arguments, logging in UTC, exit codes.

A program is `main(arguments)`; `run` calls it and turns a UserError into one sentence and exit status 1.
A service that was asked to end has done so with status 0.  Anything else is a fault of ours and shows its traceback.
"""

import argparse
import atexit
import gc
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from contracts.errors import UserError, of_memory
from contracts.follow import Stopped

FAILED, INTERRUPTED = 1, 130  # exit statuses; argparse ends with 2 where the arguments do not fit

_FORMAT = "%(asctime)sZ %(name)s %(levelname)s %(message)s"


def parser(program: str, description: str, example: str) -> argparse.ArgumentParser:
    """An argument parser whose help ends with an example that can be pasted."""
    return argparse.ArgumentParser(
        prog=program, description=description, epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_experiment(arguments: argparse.ArgumentParser, optional: bool = False) -> None:
    """The positional argument EXPERIMENT.toml; optional ones fall back to ./experiment.toml."""
    arguments.add_argument("experiment", type=Path, metavar="EXPERIMENT.toml",
                           nargs="?" if optional else None, default=Path("experiment.toml"),
                           help="the experiment file" + (" (default: ./experiment.toml)" if optional else ""))


def log_to_terminal(level: int = logging.INFO) -> None:
    """Log lines with UTC times on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.raiseExceptions = False  # a line that a full disk refuses is lost without a traceback


def log_to_file(path: Path) -> logging.Handler:
    """Log also into `path`, appended, so that a resumed step keeps the record of its first try."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path)
    except OSError as error:
        raise UserError(f"{path}: no log can be written there ({error.strerror}); check the work folder") from None
    handler.setFormatter(_formatter())
    logging.getLogger().addHandler(handler)
    return handler


@contextmanager
def logging_to_file(path: Path) -> Iterator[None]:
    """The same for one step of a program that goes through many."""
    handler = log_to_file(path)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        with suppress(OSError):  # a disk that is full hides no error of the step
            handler.close()


def _formatter() -> logging.Formatter:
    formatter = logging.Formatter(_FORMAT, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    return formatter


def end_without_search() -> None:
    """Let nothing be searched for garbage while the process ends, which gives back all it has: that took a sixth of the
    processor time of a process with nothing to do.  Whatever ends with its last reference ends as ever."""
    atexit.register(gc.freeze)


def run(main: Callable[[Sequence[str]], None], program: str) -> None:
    """Run `main(arguments)` and leave the process with its exit status."""
    log_to_terminal()
    end_without_search()
    try:
        main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # who read our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Stopped as reason:
        logging.getLogger(program).info("%s", reason)
    except UserError as error:
        logging.getLogger(program).error("%s", error)
        sys.exit(FAILED)
    except MemoryError as error:
        logging.getLogger(program).error("%s", of_memory(error))
        sys.exit(FAILED)
    except KeyboardInterrupt:
        logging.getLogger(program).error("interrupted; run the same command again to resume")
        sys.exit(INTERRUPTED)
