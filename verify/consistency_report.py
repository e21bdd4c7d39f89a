"""The tables of `consistency` and its files (`consistency/1`, `estimated-errors/1`).

In the file a row is a group: codes of fate, quantity and report type, bounds of the layer and of the spread, then the
sums and the counts of ranks, so that a reader can add up what it likes.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from contracts import netcdf
from contracts.constants import HECTOPASCAL
from contracts.estimated_errors import Estimate
from contracts.variables import Flag, Quantity
from verify import groups
from verify.config import Verify
from verify.consistency import KEYS, SPREAD_BINS, SUMS, Sums
from verify.summary import number, table

CONTRACT = "consistency/1"
_JUDGES = (Flag.assimilated, Flag.withheld)


def text(sums: Sums, layers_hpa: Sequence[float]) -> str:
    """All tables; those without content are left out."""
    parts = [
        _errors(sums, "Errors by quantity and layer", "layer", lambda code: _layer(code, layers_hpa)),
        _errors(sums, "Errors by quantity and report type", "type", str),
        _ranks(sums),
        _spread_skill(sums),
    ]
    return "\n\n".join(part for part in parts if part)


def estimates(sums: Sums, chosen: Verify) -> tuple[Estimate, ...]:
    """The estimated errors of assimilated observations, where there are enough and no negative average."""
    bounds_hpa = np.array(groups.bounds(np.arange(-1, len(chosen.layers_hpa) - 1), chosen.layers_hpa)) / HECTOPASCAL
    lower, upper = bounds_hpa.tolist()
    most, found = chosen.estimates_within, []
    for (flag, quantity, kind, layer), one in sums.by("flag", "quantity", "type", "layer").items():
        if flag == Flag.assimilated and one.count >= chosen.estimates_from and one.error_factor > 0:
            bounds = (None, None) if layer < 0 else (lower[layer + 1], upper[layer + 1])
            found.append(Estimate(
                quantity=Quantity(quantity).name, type=kind, factor=min(max(one.error_factor, 1 / most), most),
                estimated=one.root("oma_omb"), given=one.root("error_variance"), count=one.count,
                lower_hpa=bounds[0], upper_hpa=bounds[1]))
    return tuple(found)


def _errors(sums: Sums, title: str, key: str, name: Callable[[int], str]) -> str:
    """Given and estimated errors; estimates of assimilated observations only."""
    rows = []
    for (flag, quantity, code), found in sums.by("flag", "quantity", key).items():
        if flag in _JUDGES:
            estimated = [found.root(product) if flag == Flag.assimilated else float("nan")
                         for product in ("oma_omb", "amb_omb", "amb_oma")]
            cells = [found.mean("omb"), found.root("omb_omb"), found.consistency, found.root("error_variance"),
                     estimated[0], found.root("background_variance"), estimated[1],
                     found.root("analysis_variance"), estimated[2]]
            rows.append([*_names(flag, quantity), name(code), str(found.count), *map(number, cells)])
    header = ["", "quantity", "units", key, "number", "mean O-B", "RMS O-B", "consis-\ntency", "obs. error\ngiven",
              "\nestimated", "background\nspread", "\nestimated", "analysis\nspread", "\nestimated"]
    return f"{title}\n" + table(header, rows) if rows else ""


def _ranks(sums: Sums) -> str:
    rows = []
    for (flag, quantity), found in sums.by("flag", "quantity").items():
        if flag in _JUDGES and found.ranks.any():
            share = found.ranks / found.ranks.sum() * found.ranks.size
            shown = [share[0], *(part.mean() for part in np.array_split(share[1:-1], 4)), share[-1]]
            rows.append([*_names(flag, quantity), str(found.ranks.sum()), number(found.mean_rank), *map(number, shown)])
    header = ["", "quantity", "units", "number", "mean rank\n/ k", "below\nall", "1st", "2nd", "3rd",
              "4th\nquarter", "above\nall"]
    title = "Ranks of observations among the members: how often, relative to a reliable ensemble\n"
    return title + table(header, rows) if rows else ""


def _spread_skill(sums: Sums) -> str:
    rows = []
    bounds = ["0", *(f"{bound:g}" for bound in SPREAD_BINS), ""]
    for (flag, quantity, code), found in sums.by("flag", "quantity", "spread_bin").items():
        if flag in _JUDGES:
            where = f"{bounds[code]} to {bounds[code + 1]}" if bounds[code + 1] else f"over {bounds[code]}"
            rows.append([*_names(flag, quantity), where, str(found.count), number(found.adjusted_spread),
                         number(found.skill), number(found.adjusted_spread / found.skill)])
    header = ["", "quantity", "units", "spread /\nobs. error", "number", "spread", "error", "spread\n/ error"]
    return "Spread and skill of the background at the observations\n" + table(header, rows) if rows else ""


def _names(flag: int, quantity: int) -> list[str]:
    return [Flag(flag).name, Quantity(quantity).name, Quantity(quantity).units]


def _layer(code: int, layers_hpa: Sequence[float]) -> str:
    return "surface" if code < 0 else f"{layers_hpa[code]:g} to {layers_hpa[code + 1]:g} hPa"


def write(path: Path, sums: Sums, layers_hpa: Sequence[float], experiment: str) -> None:
    """Write the sums of an experiment atomically."""
    keys = dict(zip(KEYS, sums.keys.T, strict=True))
    lower, upper = groups.bounds(keys["layer"], layers_hpa)
    spread = np.array([0.0, *SPREAD_BINS, np.inf])
    columns = {"flag": keys["flag"], "quantity": keys["quantity"], "type": keys["type"],
               "layer_lower": lower, "layer_upper": upper,
               "spread_lower": spread[keys["spread_bin"]], "spread_upper": spread[keys["spread_bin"] + 1],
               **dict(zip(SUMS, sums.sums.T, strict=True))}
    with netcdf.create(path, CONTRACT, {"experiment": experiment}) as dataset:
        dataset.add_dimension("group", len(sums))
        dataset.add_dimension("rank", sums.ranks.shape[1])
        for name, values in columns.items():
            netcdf.add(dataset, name, ("group",), np.ascontiguousarray(values), **_attributes(name))
        netcdf.add(dataset, "rank_count", ("group", "rank"), sums.ranks)


def _attributes(name: str) -> dict[str, object]:
    if name in ("flag", "quantity"):
        codes = Flag if name == "flag" else Quantity
        return {"flag_values": np.array([code.value for code in codes], np.int64),
                "flag_meanings": " ".join(code.name for code in codes)}
    if name.startswith("layer"):
        return {"units": "Pa"}
    if name in SUMS:
        return {"long_name": f"sum of {name.replace('_', ' ')}"} if name != "count" else {"units": "1"}
    return {"units": "1"}
