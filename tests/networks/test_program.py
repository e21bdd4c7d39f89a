"""The commands of the room: each explains itself, none loads torch before it needs it, the old door shows the new."""

import subprocess
import sys

import pytest

from contracts.errors import UserError
from model_server import __main__ as old
from networks import __main__ as program
from tests.networks.conftest import CHECKOUT


@pytest.mark.parametrize("name", program.COMMANDS)
def test_every_command_explains_itself_with_an_example(name, capsys):
    with pytest.raises(SystemExit) as leave:
        program.main([name, "--help"])
    assert leave.value.code == 0
    assert f"python -m networks {name} " in capsys.readouterr().out.partition("example:")[2]


def test_help_lists_every_command(capsys):
    program.main(["--help"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in program.COMMANDS)


def test_an_unknown_command_is_refused_with_those_that_there_are():
    with pytest.raises(UserError, match=f"unknown command 'tarin'; known: {', '.join(program.COMMANDS)}"):
        program.main(["tarin"])


@pytest.mark.parametrize("name", old.MOVED)
def test_the_command_of_before_says_where_it_went(name):
    with pytest.raises(UserError, match=f"{name} moved: python -m networks {name} e.toml"):
        old.main([name, "e.toml"])


@pytest.mark.parametrize("name", program.COMMANDS)
def test_commands_do_not_import_torch_before_they_need_it(name):
    script = (
        "import sys; from networks import __main__ as m\n"
        f"try: m.main(['{name}', '--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'jax', 'h5py', 'xarray', 'matplotlib')))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
