"""Decoded reports that should be the same."""

import numpy as np

from obsproc.bufr.reports import Reports


def assert_same(a: dict[str, Reports], b: dict[str, Reports]) -> None:
    """Equal in every column and event, type and order of columns included."""
    assert list(a) == list(b)
    for kind, mine in a.items():
        assert list(_arrays(mine)) == list(_arrays(b[kind]))
        for (name, x), y in zip(_arrays(mine).items(), _arrays(b[kind]).values(), strict=True):
            assert x.dtype == y.dtype, name
            np.testing.assert_array_equal(x, y, err_msg=f"{kind} {name}")


def _arrays(reports: Reports) -> dict[str, np.ndarray]:
    found = {"message": reports.message, "level_start": reports.level_start}
    for table in ("header", "level", "depth"):
        found |= {f"{table} {name}": values for name, values in getattr(reports, table).items()}
    for stack, events in reports.events.items():
        found |= {f"{stack} level": events.level, f"{stack} depth": events.depth}
        found |= {f"{stack} {name}": values for name, values in events.columns.items()}
    return found
