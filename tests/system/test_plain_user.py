"""Who is not root, and a disk that is read-only: one sentence, and the same bits once the way is free."""

import subprocess

import pytest

from tests.system import experiment
from tests.system.campaign import small_disk
from tests.system.experiment import CHECKOUT, copy, data, resumes_to_the_same, same

MODES = ["", "--services"]
REFUSED = "could not be written ({}); check the space left on the disk and whether you may write to the folder"


def as_nobody(made: experiment.Experiment, *more: str) -> subprocess.CompletedProcess:
    """A run by a user of a namespace of its own, who has no rights but those of the owner of the files."""
    return subprocess.run(["unshare", "--user", CHECKOUT / "run" / "cycle.sh", made.path, *more], text=True,
                          env=made.environment, cwd=made.work, capture_output=True, timeout=experiment.CYCLE_LIMIT_S)


@pytest.mark.parametrize("after", MODES)
def test_a_user_without_rights_is_told_and_with_them_makes_the_same_bits(fresh, finished, after):
    if subprocess.run(["unshare", "--user", "true"], capture_output=True).returncode:
        pytest.skip("no user namespaces here")
    fresh.folder.chmod(0o555)
    told = as_nobody(fresh, *after.split())
    assert told.returncode == 1 and REFUSED.format("Permission denied") in told.stderr
    assert "Traceback" not in told.stderr and len(told.stderr.strip().splitlines()) == 1
    fresh.folder.chmod(0o755)
    done = as_nobody(fresh, *after.split())
    assert done.returncode == 0, done.stdout + done.stderr
    same(data(fresh.folder), data(finished[0].folder))


def test_a_disk_that_is_read_only_is_told_and_goes_on_when_it_is_not(prepared, finished, tmp_path):
    disk = tmp_path / "disk"
    with small_disk(disk) as mounted:
        if not mounted:
            pytest.skip("only root may mount a disk")
        made = copy(prepared, disk)
        remounted(disk, "ro")
        done = made.run()
        assert done.returncode == 1 and REFUSED.format("Read-only file system") in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        remounted(disk, "rw")
        resumes_to_the_same(made, finished)


def remounted(disk, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)
