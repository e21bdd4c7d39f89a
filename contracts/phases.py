"""How long each phase of a program takes, for its log."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Phases:
    """Seconds of each phase, of several processes as the first sees them; what one takes within another counts once."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._within = 0.0

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start, outer = time.perf_counter(), self._within
        self._within = 0.0
        yield
        taken = time.perf_counter() - start
        self.seconds[name] = self.seconds.get(name, 0.0) + taken - self._within
        self._within = outer + taken

    def line(self) -> str:
        parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in self.seconds.items())
        return f"seconds: {parts}; all {sum(self.seconds.values()):.2f}"
