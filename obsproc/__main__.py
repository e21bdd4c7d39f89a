"""`python -m obsproc`: one file of observations for an analysis time, or for all, or a look into a PREPBUFR file.

Each command loads what it needs: NetCDF alone takes longer than decoding a file.
"""

import os
from collections.abc import Sequence
from importlib import import_module

from contracts import program

# Nothing here multiplies matrices, and the threads that NumPy's library for that starts cost more than decoding.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

_COMMANDS = {"inspect": "look.look_into", "account": "look.give_account", "encode": "exchange.encode",
             "ioda": "exchange.exchange_ioda", "ready": "stage.tell_ready", "usage": "look.print_usage",
             "table": "look.write_table", "fetch": "fetch.fetch"}


def main(arguments: Sequence[str]) -> None:
    """Run the command that the first argument names, else make observations."""
    named = _COMMANDS.get(arguments[0]) if arguments else None
    module, _, function = (named or "stage.make").partition(".")
    getattr(import_module(f"obsproc.{module}"), function)(arguments[1:] if named else arguments)


if __name__ == "__main__":
    program.run(main, "obsproc")
