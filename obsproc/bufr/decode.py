"""The interpreter of programs in use: the compiled one, or where it was not built, the NumPy definition."""

import logging
from collections.abc import Callable, Sequence
from functools import cache

from obsproc.bufr.messages import Message
from obsproc.bufr.program import Program
from obsproc.bufr.reports import Reports

log = logging.getLogger(__name__)

Interpreter = Callable[[bytes, Sequence[Message], Program, str, int], Reports]


@cache
def fastest() -> Interpreter:
    """`compiled.decode` if there is a compiled inner loop, else `reference.decode` and one warning; only that is
    loaded."""
    try:
        from obsproc.bufr import compiled
    except ImportError as error:
        from obsproc.bufr import reference

        log.warning("decoding without the compiled inner loop, 4 to 10 times slower (%s); "
                    "a C compiler and `pip install -e .` build it", error)
        return reference.decode
    return compiled.decode
