"""Reading by a library that a hostile file can kill or keep busy for ever: in a process of its own, with limits.

    python -m obsproc.guarded        the process: a call on standard input, its result on standard output (pickles)

A few bytes can make ecCodes end with a signal or ask for a gigabyte, and HDF5 follow a group into itself. Such a file
becomes one sentence here, and the program lives on. The limits grow with the file, to some twenty times what sound
files of its size take.
"""

import logging
import os
import pickle
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contracts.errors import UserError

SECONDS, SECONDS_PER_MEGABYTE = 10, 60  # of processor time
MEGABYTES, MEGABYTES_PER_MEGABYTE = 1000, 100  # of memory
MEGABYTE = 2**20


def read(reader: Callable[..., Any], path: Path, *arguments: Any, **named: Any) -> Any:
    """`reader(path, *arguments, **named)`, a function of a module, with all that it logs and raises.

    Raises UserError naming the file where the reader dies of it or exceeds its limits.
    """
    size = path.stat().st_size / MEGABYTE
    seconds = round(SECONDS + SECONDS_PER_MEGABYTE * size)
    memory = round((MEGABYTES + MEGABYTES_PER_MEGABYTE * size) * MEGABYTE)
    call = pickle.dumps((seconds, memory, reader, (path, *arguments), named))
    one_thread = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}  # each asks for memory
    try:
        ended = subprocess.run([sys.executable, "-m", __name__], input=call, capture_output=True, check=False,
                               timeout=20 * seconds, env=os.environ | one_thread)
    except subprocess.TimeoutExpired:
        raise UserError(f"{path}: cannot be read within {20 * seconds} s; it is damaged, or not what it should be"
                        ) from None
    if ended.returncode != 0:
        raise UserError(f"{path}: cannot be read, {_why(ended.returncode, ended.stderr, seconds, memory)}; it is "
                        "damaged, or not what it should be")
    records, result, error = pickle.loads(ended.stdout)
    for record in records:
        logging.getLogger(record.name).handle(record)
    if error is not None:
        raise error
    return result


def _why(status: int, told: bytes, seconds: int, memory: int) -> str:
    if -status == signal.SIGXCPU:
        return f"its library needs more than {seconds} s for it"
    if b"MemoryError" in told or b"llocate" in told or b"alloc" in told:
        return f"its library needs more than {memory // MEGABYTE} MB for it"
    if status < 0:
        return f"its library ended with {signal.Signals(-status).name} on it"
    lines = told.decode(errors="replace").strip().splitlines()
    return f"its library failed on it ({lines[-1] if lines else f'exit status {status}'})"


class _Collector(logging.Handler):
    """Keeps records so that they can be sent to another process."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args, record.exc_info = record.getMessage(), None, None
        self.records.append(record)


def _serve() -> None:
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no part of the answer
    seconds, memory, reader, arguments, named = pickle.load(sys.stdin.buffer)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    collector = _Collector()
    logging.getLogger().addHandler(collector)
    result, failed = None, None
    try:
        result = reader(*arguments, **named)
    except UserError as error:
        failed = error
    pickle.dump((collector.records, result, failed), answer)
    answer.close()


if __name__ == "__main__":
    _serve()
