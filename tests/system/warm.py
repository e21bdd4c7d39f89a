"""A program that is loaded already: each run of it is a fork, and costs no start of Python and its libraries.

    python -m tests.system.warm MODULE      requests on standard input, exit statuses on standard output: lines of JSON

What a run does is `python -m MODULE ARGUMENTS`: it begins with the module's own first line and ends as a process does.
Modules that one run loaded are there for the next.
"""

import atexit
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

ROOMS = [path.parent.name for path in Path(__file__).resolve().parents[2].glob("*/__init__.py")]


@dataclass
class Warm:
    """A program, and the process that has it loaded."""

    process: subprocess.Popen
    words: Path  # what the last run said

    @classmethod
    def start(cls, module: str, environment: Mapping[str, str], words: Path, folder: Path) -> "Warm":
        """`words` is a file; `folder` is where the program is run."""
        return cls(subprocess.Popen([sys.executable, "-m", __name__, module], env=dict(environment), cwd=folder,
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True), words)

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], limit_s: int) -> tuple[int, str]:
        """Exit status, minus a signal (SIGALRM after `limit_s`), and what was said."""
        assert self.process.stdin is not None and self.process.stdout is not None
        request = {"arguments": list(arguments), "environment": dict(environment), "words": str(self.words),
                   "limit_s": limit_s}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        status = json.loads(self.process.stdout.readline())
        return status, self.words.read_text(errors="replace")

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def _next_request() -> dict[str, Any]:
    """In the process of a run: what it is to do.  The process that forks stays here until there is nothing more."""
    for line in sys.stdin:
        loaded, telling = os.pipe()
        gc.freeze()  # pages that a collection need not touch are not copied
        child = os.fork()
        if child == 0:
            os.close(loaded)
            atexit.register(_tell_modules, telling)
            return json.loads(line)
        os.close(telling)
        with os.fdopen(loaded) as names:
            for name in names.read().split():
                import_module(name)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    sys.exit()


def _tell_modules(telling: int) -> None:
    """Of this house; what they load comes with them."""
    names = [name for name in sys.modules if name.partition(".")[0] in ROOMS]
    with os.fdopen(telling, "w") as file:
        file.write("\n".join(names))


def _load(module: str) -> None:
    """All that a run needs but MPI, which every process begins by itself."""
    import mpi4py

    mpi4py.rc.initialize = False
    first = module if module.count(".") else f"{module}.__main__"
    for name in (first, "netCDF4", "h5py", "contracts.hdf5_objects", "contracts.guarded"):
        import_module(name)


def main() -> None:
    module = sys.argv[1]
    _load(module)
    request = _next_request()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    said = os.open(request["words"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(said, 1)
    os.dup2(said, 2)
    signal.alarm(request["limit_s"])
    if module.startswith("letkf_mpi"):
        from mpi4py import MPI

        MPI.Init()
    os.environ.update(request["environment"])
    sys.argv = [module, *request["arguments"]]
    runpy.run_module(module, run_name="__main__")


if __name__ == "__main__":
    main()
