"""The cycle as a suite of ecFlow, played by the real server in a network of its own: failures are tried again, failed
observations gone round, and what cannot be helped ends it."""

import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from tests.system.experiment import CHECKOUT, SHOWN, Experiment, bring, data, same, told

LAID = CHECKOUT / ".venv" / "ecflow" / "bin"
CLIENT, SERVER = (shutil.which(LAID / name) or shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
                  for name in ("ecflow_client", "ecflow_server"))
LIMIT_S = 900  # a quiet machine needs a tenth of it
ALONE = ["unshare", "--map-root-user", "--net", "--pid", "--mount-proc", "--fork", "--kill-child"]  # all ends with it

# The server listens on every address: here there is none but the loopback, once it is up.
LOOPBACK = "import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh14x', b'lo', 0x41))"
PLAYED = f"""
"{sys.executable}" -c "{LOOPBACK}"
export ECF_HOST=127.0.0.1 ECF_PORT=3141 ECF_HOME="$SERVED" ECFLOW_CLIENT="{CLIENT}" POLL_S=0.2
"{SERVER}" >"$SERVED/server.out" 2>&1 &
until "{CLIENT}" --ping 2>/dev/null; do sleep 0.1; done >/dev/null
"{CLIENT}" --restart
"{CHECKOUT}/run/ecflow.sh" "$1"
"""

FAILS = """
import os, runpy, sys
from pathlib import Path
mark = Path(os.environ["WORK"]) / f"failed.{sys.argv[2]}"
if sys.argv[2] in Path(os.environ["WORK"], "fail_once").read_text().split() and not mark.exists():
    mark.touch()
    sys.exit("failed as it was told")
if sys.argv[2] in Path(os.environ["WORK"], "fail_always").read_text().split():
    sys.exit("failed as it was told")
runpy.run_module("letkf_mpi.analysis", run_name="__main__")
"""


def reason_to_skip() -> str:
    if not (CLIENT and SERVER):
        return "no ecFlow here: make ecflow"
    return "" if subprocess.run([*ALONE, "true"], capture_output=True).returncode == 0 else "no network of its own here"


def text_of(made: Experiment) -> subprocess.CompletedProcess:
    return made.run("ecflow.sh", after="--text")


def test_the_suite_says_what_waits_for_what(fresh):
    suite = text_of(fresh)
    assert suite.returncode == 0, suite.stderr
    lines = [line.strip() for line in suite.stdout.splitlines()]
    assert lines[0] == "suite tiny" and lines[-1] == "endsuite" and lines.count("endfamily") == 2
    assert lines[lines.index("family 1989010106") + 1:-2] == [
        "task observations", "trigger ../1989010100/observations == complete",
        "task analysis", "trigger observations == complete && ../1989010100/forecast == complete",
        "task forecast", "trigger analysis == complete", "task verify", "trigger analysis == complete"]


def test_without_a_server_it_says_so(fresh):
    done = fresh.run("ecflow.sh", before='export ECFLOW_CLIENT=false ECF_PORT=1')
    assert done.returncode == 1
    assert "no ecFlow server at localhost, port 1: start ecflow_server there" in done.stderr


@pytest.fixture
def play(tmp_path):
    """A function that runs run/ecflow.sh to its end, on a server that ends with it; the analysis fails at times."""
    if reason := reason_to_skip():
        pytest.skip(reason)

    def played(made: Experiment, once: str = "", always: str = "") -> subprocess.CompletedProcess:
        if not (made.work / "fails.py").exists():
            bring(made, "fails", FAILS)
        (made.work / "fail_once").write_text(once)
        (made.work / "fail_always").write_text(always)
        served = tmp_path / "served"
        served.mkdir(exist_ok=True)
        own = {"SERVED": str(served), "RETRY_SECONDS": "1", "RANKS": "1", "PYTHONPATH": str(made.work)}
        process = subprocess.Popen([*ALONE, "bash", "-c", PLAYED, "played", str(made.path)], text=True, cwd=made.work,
                                   env=made.environment | own, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = process.communicate(timeout=LIMIT_S)
        finally:
            process.send_signal(signal.SIGKILL)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return played


def jobs(made: Experiment) -> list[str]:
    """The jobs that were started: time, stage and number of the try."""
    return sorted(str(path.relative_to(made.folder / "ecflow" / "tiny")) for path in
                  (made.folder / "ecflow").rglob("*.job*"))


def test_after_a_failure_it_ends_with_the_bits_of_the_driver(fresh, finished, play):
    done = play(fresh, once="1989010106")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1989010106/analysis.job2" in jobs(fresh) and "1989010100/analysis.job2" not in jobs(fresh)
    same(data(fresh.folder), data(finished[0].folder))
    again = play(fresh)
    assert again.returncode == 0 and "2 cycles, 2 complete already" in again.stdout


def test_failed_observations_are_gone_round_and_a_failed_analysis_ends_it(fresh, play):
    """In real time: the first time has no observations, the second no analysis."""
    fresh.path.write_text(SHOWN.replace('truth = "truth/', 'truth = "seen/', 1).replace("research", "realtime"))
    (fresh.work / "seen").mkdir()
    shutil.copy(fresh.work / "truth" / "1989010106.nc", fresh.work / "seen")
    done = play(fresh, always="1989010106")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "/tiny: a stage failed for good" in done.stderr
    assert {"1989010100/observations.job2", "1989010106/analysis.job2"} <= set(jobs(fresh))
    files = data(fresh.folder)
    unchanged = (files[f"1989010100/{kind}/m0001.nc"]["temperature"] for kind in ("background", "analysis"))
    np.testing.assert_array_equal(*unchanged)
    assert "1989010106/background/ensmean.nc" in files and "1989010106/departures.nc" not in files
    assert told(fresh)[0] == "STALLED"
