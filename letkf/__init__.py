"""The front door: `letkf`, one command that starts the corridor's scripts and the programs, and imports none."""

from importlib import metadata

__version__ = metadata.version("letkf-mpi")
