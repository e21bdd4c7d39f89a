"""ecCodes made ready before it reads: a sounding of ours goes the way that one of others will go.

What ecCodes and its binding load at their first message (definitions, tables, declarations of functions) is then
there for all processes that are forked from this one, and none of it is another's file.
"""

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import eccodes

from obsproc import wmo

WHEN = datetime(2020, 1, 1, tzinfo=UTC)
TEMP, LEVELS = 309052, 2  # a sounding with its drift
VALUES = {"year": WHEN.year, "month": WHEN.month, "day": WHEN.day, "hour": WHEN.hour, "minute": WHEN.minute,
          "blockNumber": 1, "stationNumber": 1, "latitude": 50.0, "longitude": 10.0}
OF_LEVELS = {"pressure": (100000.0, 85000.0), "airTemperature": (290.0, 280.0), "dewpointTemperature": (285.0, 270.0),
             "windDirection": (270, 280), "windSpeed": (5.0, 10.0)}


def warm_up() -> None:
    """Read it as `wmo.read_file` reads."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ours.bufr"
        path.write_bytes(sounding())
        wmo.read_file(path, WHEN)


def sounding() -> bytes:
    """A message as ecCodes itself makes it."""
    handle = eccodes.codes_bufr_new_from_samples("BUFR4")
    try:
        eccodes.codes_set(handle, "dataCategory", wmo.SOUNDING)
        eccodes.codes_set_array(handle, "inputExtendedDelayedDescriptorReplicationFactor", [LEVELS])
        eccodes.codes_set_array(handle, "unexpandedDescriptors", [TEMP])
        for key, value in VALUES.items():
            eccodes.codes_set(handle, key, value)
        for key, values in OF_LEVELS.items():
            for number, value in enumerate(values, start=1):
                eccodes.codes_set(handle, f"#{number}#{key}", value)
        eccodes.codes_set(handle, "pack", 1)
        return eccodes.codes_get_message(handle)
    finally:
        eccodes.codes_release(handle)
