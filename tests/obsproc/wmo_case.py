"""WMO messages made by hand, and their table."""

from datetime import UTC, datetime

import eccodes
import numpy as np

from contracts import observations
from obsproc import prepbufr, wmo

PLACE = [1001, 1002, 4001, 4002, 4003, 4004, 4005, 5001, 6001, 7030]
CLOCK = dict(year=2020, month=3, day=15, hour=1, minute=30)
SYNOP = datetime(2020, 3, 15, 0, tzinfo=UTC)


def table(path, cycle):
    parts = [prepbufr.candidates(kind, cycle).table for kind in wmo.read_file(path, cycle).reports.values()]
    return observations.concatenate(parts)


def of(found, *quantities):
    return found.select(np.isin(found.quantity, quantities))


def bufr(category: int, descriptors: list[int], subsets: int, compressed: int, **values) -> bytes:
    """A message made by ecCodes itself."""
    handle = eccodes.codes_bufr_new_from_samples("BUFR4")
    eccodes.codes_set(handle, "masterTablesVersionNumber", 28)
    eccodes.codes_set(handle, "dataCategory", category)
    eccodes.codes_set(handle, "numberOfSubsets", subsets)
    eccodes.codes_set(handle, "compressedData", compressed)
    eccodes.codes_set_array(handle, "unexpandedDescriptors", descriptors)
    for key, value in values.items():
        if compressed and np.ndim(value):
            eccodes.codes_set_double_array(handle, key, np.asarray(value, float))
        elif compressed:
            eccodes.codes_set(handle, key, value)
        else:
            for number, each in enumerate(np.broadcast_to(value, subsets), start=1):
                eccodes.codes_set(handle, f"#{number}#{key}", each.item())
    eccodes.codes_set(handle, "pack", 1)
    content = eccodes.codes_get_message(handle)
    eccodes.codes_release(handle)
    return content
