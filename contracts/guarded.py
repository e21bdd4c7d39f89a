"""Reading by a library that a hostile file can kill or keep busy for ever: in a process of its own, with limits.

    python -m contracts.guarded        the nursery: calls on standard input, results on standard output (pickles)

A few bytes can make ecCodes end with a signal or ask for a gigabyte. Such a file becomes one sentence here, and the
program lives on. The limits grow with the file, to some twenty times what sound files of its size take.

The nursery is started at the first call and has the libraries loaded. It looks into no file: for each it forks a child,
which does, and waits for that as long as the limits say. A file costs some milliseconds so, not the start of a program.
What a library loads at its first file a reader's `warm_up` can have it load in the nursery, from a file of ours.
"""

import atexit
import logging
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from contracts.config import Section
from contracts.errors import UserError

MEGABYTE = 2**20
KILLED_BY_NURSERY = signal.SIGALRM  # stands for: more time by the clock than allowed
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}  # each asks memory


class Limits(Section, frozen=True):
    """What reading one file may take: so much, and so much more for each MB of the file."""

    seconds: float = 10.0  # of processor time
    seconds_per_mb: float = 60.0
    memory_mb: float = 1000.0
    memory_mb_per_mb: float = 100.0
    patience: float = 20.0  # so many times the processor time may pass by the clock, on a machine that is busy
    largest_mb: float = 4000.0  # of a file that is read at all

    def __post_init__(self):
        for name in self.__struct_fields__:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be more than 0, got {getattr(self, name)}")


LIMITS = Limits()


@dataclass(frozen=True)
class _Call:
    seconds: int
    memory: int
    patience: float
    reader: Callable[..., Any]
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    warm_up: Callable[[], None] | None


def read(reader: Callable[..., Any], path: Path, *arguments: Any, limits: Limits = LIMITS,
         warm_up: Callable[[], None] | None = None, **named: Any) -> Any:
    """`reader(path, *arguments, **named)`, a function of a module, with all that it logs and raises.

    `warm_up`, another such function, is called in the nursery before it first forks for that reader. Raises UserError
    naming the file where the reader dies of it or exceeds its limits.
    """
    size = refuse_large(path, limits)
    call = _Call(round(limits.seconds + limits.seconds_per_mb * size),
                 round((limits.memory_mb + limits.memory_mb_per_mb * size) * MEGABYTE), limits.patience, reader,
                 (path, *arguments), named, warm_up)
    status, told, answer = _NURSERY.ask(call)
    if status != 0 or not answer:
        raise UserError(f"{path}: cannot be read, {_why(status, told, call)}; it is damaged, or not what it should be")
    records, result, error = pickle.loads(answer)
    for record in records:
        logging.getLogger(record.name).handle(record)
    if error is not None:
        raise error
    return result


def refuse_large(path: Path, limits: Limits) -> float:
    """The size of a file in MB; raises UserError where it is larger than is read at all."""
    size = path.stat().st_size / MEGABYTE
    if size > limits.largest_mb:
        raise UserError(f"{path}: has {size:.0f} MB, and no more than {limits.largest_mb:g} MB are read at once; "
                        "divide it, or raise largest_mb of the limits")
    return size


def _why(status: int, told: bytes, call: _Call) -> str:
    if -status == signal.SIGXCPU:
        return f"its library needs more than {call.seconds} s for it"
    if -status == KILLED_BY_NURSERY:
        return f"its library has not ended after {call.patience * call.seconds:.0f} s"
    if b"MemoryError" in told or b"llocate" in told or b"alloc" in told:
        return f"its library needs more than {call.memory // MEGABYTE} MB for it"
    if status < 0:
        return f"its library ended with {signal.Signals(-status).name} on it"
    lines = told.decode(errors="replace").strip().splitlines()
    return f"its library failed on it ({lines[-1][:200] if lines else f'exit status {status}'})"


@dataclass
class _Nursery:
    """The process that forks; started when it is first asked, and again where somebody ended it."""

    process: subprocess.Popen[bytes] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    owner: int = 0  # the process that started it: a fork of ours starts its own

    def ask(self, call: _Call) -> tuple[int, bytes, bytes]:
        """Exit status of the reading process (minus a signal), what it said on standard error, and its answer."""
        with self.lock:
            if self.process is None or self.owner != os.getpid() or self.process.poll() is not None:
                self._start()
            assert self.process is not None and self.process.stdin is not None and self.process.stdout is not None
            try:
                pickle.dump(call, self.process.stdin)
                self.process.stdin.flush()
                return pickle.load(self.process.stdout)
            except (BrokenPipeError, EOFError, pickle.UnpicklingError):
                self.process.kill()
                return self.process.wait(), b"", b""

    def _start(self) -> None:
        self.owner = os.getpid()
        self.process = subprocess.Popen([sys.executable, "-m", __name__], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        env=os.environ | ONE_THREAD, start_new_session=True)
        atexit.register(self._end, self.process)

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None and not process.stdin.closed:
            process.stdin.close()
        process.wait()


_NURSERY = _Nursery()


class _Collector(logging.Handler):
    """Keeps records so that they can be sent to another process."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args, record.exc_info = record.getMessage(), None, None
        self.records.append(record)


def _serve(calls: IO[bytes], answers: IO[bytes]) -> None:
    """Answer calls until there are no more; to load one loads the module of its reader, once."""
    asker, warm = os.getppid(), {None}
    while True:
        try:
            call = pickle.load(calls)
        except EOFError:
            return
        if call.warm_up not in warm:
            warm.add(call.warm_up)
            with suppress(Exception):  # it is only faster so; what does not work is told of the file
                call.warm_up()
        said, answer = os.memfd_create("said"), os.memfd_create("answer")
        child = os.fork()
        if child == 0:
            _read(call, said, answer)
        status = _wait(child, call, asker)
        pickle.dump((status, *map(_content, (said, answer))), answers)
        answers.flush()


def _wait(child: int, call: _Call, asker: int) -> int:
    """Exit status of the child, minus a signal; it is killed once the clock says that it is too late, or where the
    process that asked is gone, by a signal: a file that keeps its reader busy would do so for nobody."""
    late, pause = time.monotonic() + call.patience * call.seconds, 0.0005
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > late or os.getppid() != asker:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return -KILLED_BY_NURSERY
        time.sleep(pause)
        pause = min(2 * pause, 0.02)


def _content(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return file.read()


def _read(call: _Call, said: int, answer: int) -> None:
    """The child: it has limits, and says what it has to say to files in memory."""
    status = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(said, 1)  # what libraries print is no part of the answer
        os.dup2(said, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (call.seconds, call.seconds + 1))  # the second is SIGKILL
        resource.setrlimit(resource.RLIMIT_DATA, (call.memory, call.memory))
        resource.setrlimit(resource.RLIMIT_FSIZE, (call.memory, call.memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        collector = _Collector()
        logging.getLogger().handlers[:] = [collector]
        result, failed = None, None
        try:
            result = call.reader(*call.arguments, **call.named)
        except UserError as error:
            failed = error
        with os.fdopen(answer, "wb") as file:
            pickle.dump((collector.records, result, failed), file, protocol=pickle.HIGHEST_PROTOCOL)
        status = 0
    except BaseException as error:  # whatever it is, it is told and ends here: above is the nursery's loop
        os.write(2, f"{type(error).__name__}: {error}".encode(errors="replace"))
    finally:
        os._exit(status)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asked decides when it ends
    import h5py  # noqa: F401  what most readers load, once instead of in every child
    import netCDF4  # noqa: F401

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _serve(sys.stdin.buffer, answers)
