"""What every program does at its ends, with a real process."""

import subprocess
import sys

PROGRAM = """
import sys
from contracts import program
from contracts.errors import UserError
def main(arguments):
    {body}
program.run(main, "probe")
"""


def run(body: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", PROGRAM.format(body=body)], capture_output=True, text=True, timeout=60)


def test_a_user_error_is_one_sentence_in_utc_and_status_1():
    done = run('raise UserError("m.nc: no such file")')
    assert done.returncode == 1
    line, = done.stderr.splitlines()
    assert line.endswith("probe ERROR m.nc: no such file") and line[19] == "Z"


def test_memory_that_a_process_does_not_get_is_told_in_one_sentence():
    done = run("import numpy as np; np.empty((2**20, 2**30))")
    line, = done.stderr.splitlines()
    assert done.returncode == 1
    assert "needs more memory than this process may take (Unable to allocate 8.00 PiB for an array" in line


def test_a_fault_of_ours_shows_its_traceback():
    done = run("1 / 0")
    assert done.returncode == 1 and "ZeroDivisionError" in done.stderr


def test_a_reader_that_has_seen_enough_is_no_fault():
    command = f"'{sys.executable}' -c \"$0\" | head -n 1"
    text = PROGRAM.format(body='print("x\\n" * 1_000_000)')
    done = subprocess.run(["bash", "-c", command, text], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("x\n", "")


def test_a_full_disk_under_the_log_hides_no_error_and_shows_no_traceback():
    done = run("""
    import logging
    from pathlib import Path
    with program.logging_to_file(Path("/dev/full")):
        logging.info("a line that is lost")
        raise UserError("what went wrong")
""")
    assert done.returncode == 1
    assert "probe ERROR what went wrong" in done.stderr and "Traceback" not in done.stderr
