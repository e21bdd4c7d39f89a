"""Observations of one analysis time: PREPBUFR files, or a known truth, in; `observations.nc` out."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from obsproc.opened import open_prepbufr

__all__ = ["open_prepbufr"]


def __getattr__(name: str) -> Any:
    """`obsproc.open_prepbufr`, loaded when it is asked for: the programs of this package do without."""
    if name == "open_prepbufr":
        from obsproc import opened

        return opened.open_prepbufr
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
