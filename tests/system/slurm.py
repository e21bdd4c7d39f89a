"""A Slurm of one computer for tests: the real daemons, started in a folder of their own and ended with the test.

The computer plays two nodes, `cpu1` and `gpu1`, each alone in a partition (`cpu`, `gpu`), so that a heterogeneous job
finds both.  Nothing is read from /etc and nothing outlives the test: the kernel ends the daemons with their parent.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
START_LIMIT_S, END_LIMIT_S = 30, 20
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")

CONFIGURATION = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerParameters=bf_interval=1
KillWait=5
NodeName=cpu1 NodeHostname={host} NodeAddr=127.0.0.1 Port={cpu} CPUs=2 RealMemory=8000
NodeName=gpu1 NodeHostname={host} NodeAddr=127.0.0.1 Port={gpu} CPUs=1 RealMemory=4000
PartitionName=cpu Nodes=cpu1 Default=YES State=UP
PartitionName=gpu Nodes=gpu1 State=UP
"""


@dataclass(frozen=True)
class Slurm:
    """A cluster at work; `folder` holds its configuration and logs."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))}
        return kept | {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": PATH}

    def command(self, *words: str, **how) -> str:
        """What a command of Slurm prints; it must succeed."""
        how = {"env": self.environment, "text": True, "capture_output": True, "timeout": 60} | how
        done = subprocess.run([str(word) for word in words], **how)
        assert done.returncode == 0, f"{words}: {done.stderr}{self.logs()}"
        return done.stdout

    def told(self, job: int, name: str) -> str:
        """One field of `scontrol show job`, as JobState or Restarts."""
        fields = self.command("scontrol", "show", "job", str(job)).split()
        return next(field.partition("=")[2] for field in fields if field.startswith(f"{name}="))

    def until_ended(self, job: int, limit_s: float) -> str:
        """Wait for the end of a job that may go back into the queue; its last state."""
        limit = time.monotonic() + limit_s
        while (state := self.told(job, "JobState")) not in ENDED:
            assert time.monotonic() < limit, f"job {job} is {state} after {limit_s:g} s{self.logs()}"
            # Jobs of several parts are started by the backfill scheduler, which sleeps while nothing changes at all.
            self.command("scontrol", "update", "PartitionName=cpu", "State=UP")
            time.sleep(0.5)
        return state

    def logs(self) -> str:
        return "".join(f"\n{path}:\n{path.read_text()[-3000:]}" for path in sorted(self.folder.glob("*.log")))


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Slurm]:
    """Start the daemons, wait until both nodes are idle, and end everything that was started."""
    made, daemons = Slurm(folder), []
    configure(folder)
    try:
        munge = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid", "log-file": "munged.log",
                 "seed-file": "munged.seed"}
        files = [f"--{name}={folder / file}" for name, file in munge.items()]
        for words in (["munged", "-F", "--force", *files], ["slurmctld", "-D"], ["slurmd", "-D", "-N", "cpu1"],
                      ["slurmd", "-D", "-N", "gpu1"]):
            daemons.append(daemon(made, words))
            wait_for(made, (lambda: (folder / "munge.socket").exists()) if words[0] == "munged" else lambda: True)
        wait_for(made, lambda: made.command("sinfo", "-N", "-h", "-o", "%t").split() == ["idle", "idle"])
        yield made
    finally:
        end(made, daemons)


def configure(folder: Path) -> None:
    """slurm.conf, cgroup.conf and the key of munge, with ports that are free now."""
    with contextlib.ExitStack() as sockets:
        ports = []
        for _ in range(3):
            port = sockets.enter_context(socket.socket())
            port.bind(("127.0.0.1", 0))
            ports.append(port.getsockname()[1])
    (folder / "state").mkdir()
    text = CONFIGURATION.format(folder=folder, host=socket.gethostname().partition(".")[0],
                                **dict(zip(("controller", "cpu", "gpu"), ports, strict=True)))
    (folder / "slurm.conf").write_text(text)
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")  # the only one of Slurm 22.05 without systemd
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o600)


def daemon(made: Slurm, words: list[str]) -> subprocess.Popen:
    """Start one in the foreground; it dies with this process."""
    with (made.folder / f"{words[0]}.out").open("ab") as out:
        return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *words], env=made.environment, cwd=made.folder,
                                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)


def wait_for(made: Slurm, happened) -> None:
    limit = time.monotonic() + START_LIMIT_S
    while not happened():
        assert time.monotonic() < limit, f"Slurm did not start within {START_LIMIT_S} s{made.logs()}"
        time.sleep(0.05)


def end(made: Slurm, daemons: list[subprocess.Popen]) -> None:
    """End the jobs, the daemons and, should there be any, what is left of their jobs."""
    with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
        made.command("scancel", "--user=root", "--full", "--signal=KILL")
        made.command("scancel", "--user=root")
        wait_for(made, lambda: not made.command("squeue", "-h"))
    for process in reversed(daemons):
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    limit = time.monotonic() + END_LIMIT_S
    while (left := leftovers(made)) and time.monotonic() < limit:
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.1)


def leftovers(made: Slurm) -> list[int]:
    """Processes that know this Slurm: its daemons and all that its jobs have started."""
    mark, found = f"SLURM_CONF={made.folder}/".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(word.startswith(mark) for word in (folder / "environ").read_bytes().split(b"\0")):
                found.append(int(folder.name))
    return found


def reason_to_skip() -> str | None:
    """Why there can be no Slurm here; None where there can."""
    if os.geteuid() != 0:
        return "a Slurm of its own is started by root only"
    missing = [name for name in (*DAEMONS, "setpriv") if shutil.which(name, path=PATH) is None]
    return f"no {', '.join(missing)} here: apt-get install slurm-wlm munge" if missing else None
