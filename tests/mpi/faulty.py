"""MPI program of test_faults: the analysis with a fault on one rank.  `faulty.py FAULT RANK EXPERIMENT TIME`"""

import errno
import os
import signal
import subprocess
import sys
import time

import numpy as np

from contracts import rooms
from contracts.analysis import Writer
from contracts.errors import UserError
from letkf_mpi import analysis
from letkf_mpi.local.update import LocalAnalysis
from letkf_mpi.ranks.parallel import World, guarded
from tests.mpi import by_teams


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def fail(*_, **__):
    raise ZeroDivisionError("made to fail in a tile")


def want_too_much(*_, **__):
    np.empty(2**50)


def die_after_one_member(self, X, members, disk):
    write(self, X[:1], members[:1], disk)
    die()


def interrupt(*_, **__):
    raise KeyboardInterrupt


def interrupt_while_the_launcher_sleeps(*_, **__):
    launcher = os.getppid()
    os.kill(launcher, signal.SIGSTOP)
    subprocess.Popen(["sh", "-c", f"sleep 1; kill -CONT {launcher}"])
    interrupt()


def linger(self, *arguments):
    time.sleep(1.0)
    return tile(self, *arguments)


def refuse(*_, **__):
    raise UserError("one rank alone found a fault that you can mend")


def no_room(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


write, tile = Writer.members, LocalAnalysis.tile
FAULTS = {
    "killed in a tile": (LocalAnalysis, "tile", die),
    "killed while writing": (Writer, "members", die_after_one_member),
    "killed in a team": (rooms, "_write", die),
    "a full disk in a team": (rooms, "_write", no_room),
    "exception in a tile": (LocalAnalysis, "tile", fail),
    "no memory in a tile": (LocalAnalysis, "tile", want_too_much),
    "interrupted in a tile": (LocalAnalysis, "tile", interrupt),
    "interrupted while the launcher sleeps": (LocalAnalysis, "tile", interrupt_while_the_launcher_sleeps),
    "slow in a tile": (LocalAnalysis, "tile", linger),
    "refusal in a tile": (LocalAnalysis, "tile", refuse),
}

if __name__ == "__main__":
    fault, rank = sys.argv[1], int(sys.argv[2])
    del sys.argv[1:3]
    if "team" in fault:
        by_teams.always()
    if World().rank == rank:
        setattr(*FAULTS[fault])
    guarded(analysis.main, analysis.PROGRAM)
