"""A reader that dies, does not end or takes all memory costs one sentence, and the next file is read."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts import guarded
from contracts.errors import UserError
from contracts.guarded import Limits


def dies(path: Path) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def sleeps(path: Path) -> None:
    time.sleep(60)


def works_for_ever(path: Path) -> None:
    while True:
        pass


def takes_memory(path: Path) -> bytes:
    return bytes(4 * 2**30)


def prints(path: Path, count: int, word: str = "") -> str:
    os.write(1, b"chatter" * count)
    print("more of it")
    return word * count


def fails(path: Path) -> None:
    raise ZeroDivisionError("by what it read")


def refuses(path: Path) -> None:
    raise UserError(f"{path}: is not what I read")


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "sent.bin"
    path.write_bytes(b"x")
    return path


SHORT = Limits(seconds=1, patience=1)


@pytest.mark.parametrize(("reader", "limits", "words"), [
    (dies, Limits(), "its library ended with SIGSEGV on it"),
    (works_for_ever, Limits(seconds=1), "its library needs more than 1 s for it"),
    (sleeps, Limits(seconds=1, patience=0.3), "its library has not ended after 0 s"),
    (takes_memory, Limits(), "its library needs more than 1000 MB for it"),
    (fails, Limits(), r"its library failed on it \(ZeroDivisionError: by what it read\)"),
    (refuses, Limits(), "sent.bin: is not what I read"),
])
def test_what_a_reader_does_is_one_sentence_and_the_next_file_is_read(file, reader, limits, words):
    with pytest.raises(UserError, match=words) as told:
        guarded.read(reader, file, limits=limits)
    assert "sent.bin" in str(told.value) and "\n" not in str(told.value)
    assert guarded.read(prints, file, 3, word="ab") == "ababab"


def test_what_a_reader_prints_is_no_part_of_its_answer(file):
    assert guarded.read(prints, file, 100_000, word="ab") == "ab" * 100_000


def test_a_nursery_that_somebody_ended_is_started_again(file):
    assert guarded.read(prints, file, 1, word="a") == "a"
    process = guarded._NURSERY.process
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert guarded.read(prints, file, 1, word="b") == "b"


def gets_ready() -> None:
    os.environ["READY_IN"] = str(os.getpid())
    raise OSError("what comes after it is no worse for that")


def where_ready(path: Path) -> str:
    return f"{os.environ.get('READY_IN')} {os.getpid()}"


def test_a_library_is_made_ready_once_and_not_in_the_process_that_reads(file):
    answers = [guarded.read(where_ready, file, warm_up=gets_ready).split() for _ in range(2)]
    assert [ready for ready, _ in answers] == [str(guarded._NURSERY.process.pid)] * 2
    assert len({reader for _, reader in answers}) == 2 and os.environ.get("READY_IN") is None


def says_and_sleeps(path: Path, where: Path) -> None:
    where.write_text(str(os.getpid()))
    time.sleep(600)


def test_nobody_reads_on_for_a_program_that_a_signal_ended(file, tmp_path):
    told = tmp_path / "reader"
    script = ("from pathlib import Path; from contracts import guarded; from tests.contracts import test_guarded as t; "
              f"guarded.read(t.says_and_sleeps, Path({str(file)!r}), Path({str(told)!r}))")
    program = subprocess.Popen([sys.executable, "-c", script])
    try:
        assert _within(60, lambda: told.exists() and told.read_text())
    finally:
        program.kill()
        program.wait()
    reader = Path("/proc") / told.read_text()
    assert _within(30, lambda: not reader.exists())


def _within(seconds: float, done: Callable[[], object]) -> bool:
    late = time.monotonic() + seconds
    while not done() and time.monotonic() < late:
        time.sleep(0.02)
    return bool(done())


def test_a_file_that_is_too_large_is_not_opened(file):
    os.truncate(file, 3 * 2**20)
    with pytest.raises(UserError, match="sent.bin: has 3 MB, and no more than 2 MB are read at once"):
        guarded.read(prints, file, 1, limits=Limits(largest_mb=2.0))


def test_a_file_costs_less_than_fifty_milliseconds_of_a_processor(file):
    """Of this process, the nursery and its children, in the best of five rounds: on a busy computer each second of a
    processor does less."""

    def used() -> float:
        return time.process_time() + _used(guarded._NURSERY.process.pid)

    guarded.read(prints, file, 1)
    rounds = []
    for _ in range(5):
        before = used()
        for _ in range(6):
            guarded.read(prints, file, 1)
        rounds.append((used() - before) / 6)
    assert min(rounds) < 0.05


def _used(pid: int) -> float:
    """Seconds of a process and the children that it has waited for."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("limits", [{"seconds": 0.0}, {"memory_mb": -1.0}])
def test_limits_are_more_than_nothing(limits):
    with pytest.raises(ValueError, match="must be more than 0"):
        Limits(**limits)
