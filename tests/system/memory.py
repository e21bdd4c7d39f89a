"""A control group whose memory ends, as a batch system gives one to a job: the kernel kills in it, as it does there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from contracts import control_groups

NAMES = {"limit_in_bytes": ("usage_in_bytes", "oom_control"), "max": ("current", "events")}  # of versions 1 and 2
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Group:
    """Its folder, and how its version calls the limit."""

    folder: Path
    limit: str

    @property
    def members(self) -> Path:
        """Who writes a process id there takes it into the group."""
        return self.folder / "cgroup.procs"

    @property
    def processes(self) -> list[str]:
        return self.members.read_text().split()

    def take(self, process: int) -> None:
        self.members.write_text(str(process))

    @property
    def kills(self) -> int:
        """How many processes in it the kernel has killed."""
        lines = (self.folder / f"memory.{NAMES[self.limit][1]}").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))

    def limit_to_what_is_used(self) -> None:
        self.limit_to(int((self.folder / f"memory.{NAMES[self.limit][0]}").read_text()) // PAGE * PAGE)

    def limit_to(self, most: int | None) -> None:
        """Bytes; None for no limit."""
        none = "max" if self.limit == "max" else "-1"
        with suppress(OSError):  # version 1 takes none that is exceeded already
            (self.folder / f"memory.{self.limit}").write_text(none if most is None else str(most))

    def end(self) -> None:
        """Those that are left go on in the group around it."""
        self.limit_to(None)
        while left := self.processes:
            for process in left:
                with suppress(OSError):  # it has ended meanwhile
                    (self.folder.parent / "cgroup.procs").write_text(process)
        self.folder.rmdir()


@contextmanager
def group() -> Iterator[Group | None]:
    """A group of our own; None where we may make none."""
    made = _made(f"test_{os.getpid()}")
    try:
        yield made
    finally:
        if made is not None:
            made.end()


def _made(name: str) -> Group | None:
    for root in dict.fromkeys(control_groups.folders("memory")):
        folder = root / name
        with suppress(OSError):
            folder.mkdir()
            for limit in NAMES:
                if (folder / f"memory.{limit}").exists():
                    return Group(folder, limit)
            folder.rmdir()
    return None
