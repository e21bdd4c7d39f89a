"""What a file comes in: unpacked where it was compressed, and named for what it is where it holds no BUFR."""

import bz2
import gzip
import zlib
from pathlib import Path

from obsproc.bufr.messages import BufrError

GZIP, BZIP2 = b"\x1f\x8b", b"BZh"
MOST_BYTES = 2**30  # unpacked; a few kilobytes can stand for more than a memory holds
_KINDS = (  # (first byte, what stands there, what the file is)
    (257, b"ustar", "a tar archive; unpack it first"),
    (0, b"PK\x03\x04", "a zip archive; unpack it first"),
    (0, b"\xfd7zXZ", "compressed by xz; unpack it first"),
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the file itself; fetch it with git lfs pull"),
    (0, b"GRIB", "GRIB, fields of a model"),
    (0, b"\x89HDF", "HDF5 or NetCDF-4"),
    (0, b"CDF", "NetCDF"),
    (0, b"%PDF", "a PDF document"),
)


def unpacked(raw: bytes, path: str | Path) -> bytes:
    """The bytes of a file, of one compressed by gzip or bzip2 those inside. Raises BufrError where it is damaged."""
    try:
        if raw[:2] == GZIP:
            with gzip.open(path) as file:
                data = file.read(MOST_BYTES + 1)
        elif raw[:3] == BZIP2:
            with bz2.open(path) as file:
                data = file.read(MOST_BYTES + 1)
        else:
            return raw
    except (OSError, EOFError, zlib.error) as error:
        raise BufrError(path, f"is compressed and damaged ({error}); fetch the file again") from None
    if len(data) > MOST_BYTES:
        raise BufrError(path, f"holds more than {MOST_BYTES // 2**30} GB when unpacked; unpack and divide it first")
    return data


def refuse_other(data: bytes, path: str | Path) -> None:
    """Raises BufrError where the bytes are known to be something else."""
    for start, mark, name in _KINDS:
        if data[start : start + len(mark)] == mark:
            raise BufrError(path, f"this is not a BUFR file, it is {name}")
    refuse_page(data, path)


def refuse_page(data: bytes, path: str | Path) -> None:
    """Raises BufrError where the bytes are a web page."""
    if data[:1000].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise BufrError(path, "this is not a BUFR file, it is a web page, perhaps an error or a log-in instead of the "
                        "file; look into it and fetch it again")
