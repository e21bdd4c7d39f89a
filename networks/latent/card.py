"""A latent's file and the card beside it: `eof.safetensors` and `eof.toml` (`latent/1`).

    eof.safetensors   float32  scale (channel,), mean (channel, lat, lon), and of each band r from the equator to the
                      pole, of one patch grid after the other,  band<r>.basis (k, n), band<r>.variance (half, k)
    eof.toml          the card: for which states, from which errors of which years and weights, how it was made, what
                      it loses, and the sha256 of the file

Made twice by the same command on the same machine both are the same to the bit.  A latent without its card, with
another's, for other states, or fitted from times of the experiment that wants it, is refused.
"""

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import tomli_w
from safetensors import SafetensorError
from safetensors.numpy import load, save

from contracts import paths, texts
from contracts.config import Experiment, NotNegativeFloat, Positive, Section
from contracts.errors import UserError
from contracts.state import StateSpace
from networks import unseen
from networks.latent.eof import Eof

CONTRACT = "latent/1"
Pair = tuple[Positive, Positive]


class GridCard(Section, frozen=True):
    """[grid] The rows and columns that patches were cut from."""

    lat: tuple[float, ...]
    lon: tuple[float, ...]


class Errors(Section, frozen=True):
    """[errors] Forecast errors that the latent was fitted from."""

    first: datetime  # beginning of the first forecast
    last: datetime  # end of the last one
    count: Positive
    lead_hours: Positive
    natures: tuple[str, ...]  # the runs, or the source, whose states were forecast and verified with
    weights: str  # of the network, by name
    weights_sha256: str


class Card(Section, frozen=True):
    """All that the numbers do not say of themselves."""

    kind: Literal["eof"]
    channels: tuple[str, ...]
    patch: Pair  # rows, columns
    modes: Positive  # of a whole patch
    grid: GridCard
    errors: Errors
    command: str
    source: str  # the code's version
    overlap: bool = False  # whether there are four patch grids, half a patch apart, or one
    floor: dict[str, NotNegativeFloat] = {}  # RMS of what is lost of errors of another year
    contract: Literal["latent/1"] = "latent/1"
    sha256: str = ""  # of the numbers; empty only before they are written


def beside(path: Path) -> Path:
    """The card of `eof.safetensors` is `eof.toml`."""
    return path.with_suffix(".toml")


def write(path: Path, latent: Eof, card: Card) -> Card:
    """Write the numbers, then the card with their checksum, each by rename; returns that card."""
    numbers = {"scale": latent.scale, "mean": latent.mean}
    for band, (basis, variance) in enumerate(zip(latent.basis, latent.variance, strict=True)):
        numbers |= {f"band{band}.basis": basis, f"band{band}.variance": variance}
    content = save({name: np.ascontiguousarray(array, np.float32) for name, array in numbers.items()})
    card = msgspec.structs.replace(card, sha256=hashlib.sha256(content).hexdigest())
    for place, data in ((path, content), (beside(path), tomli_w.dumps(msgspec.to_builtins(card)).encode())):
        with paths.atomic(place) as partial:
            partial.write_bytes(data)
    return card


def read(path: Path, space: StateSpace, experiment: Experiment | None = None) -> Eof:
    """The latent for states of `space`; raises UserError where it is not there, damaged or for other states, and where
    it was fitted from times of the `experiment`."""
    card = _card(path)
    _refuse_other_states(path, card, space)
    unseen.refuse_overlap(path, card.errors.first, card.errors.last, experiment, "[neural]")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: the numbers of this latent cannot be read ({error.strerror})") from None
    if (found := hashlib.sha256(content).hexdigest()) != card.sha256:
        raise UserError(f"{path}: expected numbers of sha256 {card.sha256[:12] or '(none)'}…, as the card says, got "
                        f"{found[:12]}…: the file is damaged or the card belongs to another one; copy both again, or "
                        f"make them: {card.command}")
    try:
        numbers = {name: array.astype(np.float64) for name, array in load(content).items()}
        bands = range(sum(name.endswith(".basis") for name in numbers))
        basis, variance = (tuple(numbers[f"band{band}.{what}"] for band in bands) for what in ("basis", "variance"))
        return Eof(space, card.patch, numbers["scale"], numbers["mean"], basis, variance, card.overlap)
    except (SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{path}: is not what its card says ({error}); make it again: {card.command}") from None


def _card(path: Path) -> Card:
    place = beside(path)
    try:
        return msgspec.convert(texts.table(texts.read(place), str(place)), Card)
    except OSError as error:
        raise UserError(f"{place}: the card of this latent cannot be read ({error.strerror}); make both with "
                        "python -m networks latent, or name others") from None
    except msgspec.ValidationError as error:
        raise UserError(f"{place}: is no card of a latent: {str(error).replace('`', '')}") from None


def _refuse_other_states(path: Path, card: Card, space: StateSpace) -> None:
    wanted = [channel.name for channel in space.channels]
    if list(card.channels) != wanted:
        raise UserError(f"{path}: was fitted for channels {', '.join(card.channels)}, and [state] has "
                        f"{', '.join(wanted)}; fit one for these: python -m networks latent")
    if not (np.array_equal(card.grid.lat, space.grid.lat) and np.array_equal(card.grid.lon, space.grid.lon)):
        raise UserError(f"{path}: was fitted on {len(card.grid.lat)} x {len(card.grid.lon)} points, lat "
                        f"{card.grid.lat[0]:g} to {card.grid.lat[-1]:g}, and [grid] is the {space.grid}; fit one for "
                        "it: python -m networks latent")
