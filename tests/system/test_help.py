"""Whoever asks a script or a program how it is used is told, with an example and status 0."""

import os
import subprocess

import pytest

from tests.system.experiment import CHECKOUT
from verify import __main__ as verify

SCRIPTS = sorted(path.name for path in (CHECKOUT / "run").glob("*.sh") if os.access(path, os.X_OK))


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("asked", ["--help", "-h"])
def test_a_script_tells_how_it_is_used(script, asked, tmp_path):
    """A batch script too, which is no job then, and whose resources are no part of the answer."""
    done = subprocess.run([CHECKOUT / "run" / script, asked], cwd=tmp_path, text=True, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"run/{script}" in done.stdout and "EXPERIMENT" in done.stdout.upper()
    assert "#" not in done.stdout.replace("`#SBATCH --cpus-per-task=N`", "")


@pytest.mark.parametrize("command", ["", *verify.OWN_ARGUMENTS])
def test_every_command_of_verify_ends_its_help_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as ended:
        verify.main([*([command] if command else []), "--help"])
    assert ended.value.code == 0
    assert f"example:\n  python -m verify {command}".rstrip() in capsys.readouterr().out
