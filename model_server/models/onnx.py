"""A model in the ONNX format, with the card that says its channels (`networks.onnx`), by ONNX Runtime.

    [model]
    name = "onnx"
    options = { file = "weights/model.onnx" }

On a CPU one member goes through the graph at a time, on one thread, and members side by side, so that the bits of a
member do not depend on the others.
"""

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime

from contracts import control_groups, static, times
from contracts.config import Positive, Section
from contracts.errors import UserError
from contracts.state import StateSpace
from model_server.models.base import Batch
from networks import normalization
from networks.feed import PLAIN, Feed
from networks.normalization import LAND_SEA_MASK, OROGRAPHY
from networks.onnx import card as cards
from networks.onnx import graph
from networks.onnx.card import OnnxCard
from networks.onnx.graph import Graph
from networks.starter import find

SUFFIX = ".onnx"
ON_CPU, ON_GPU = "CPUExecutionProvider", "CUDAExecutionProvider"


class Options(Section, frozen=True):
    """[model.options] of onnx."""

    file: str  # the graph
    card: str = ""  # default: beside it, with the suffix .toml, or else what the graph itself holds
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto takes a GPU where ONNX Runtime has it
    at_once: Positive = 1  # members in one run, of a graph that takes any number
    threads: Positive | None = None  # members side by side on a CPU; default: all cores


@dataclass(frozen=True)
class Onnx:
    """Members one lead time later by a graph."""

    space: StateSpace
    name: str
    identity: Mapping[str, str]
    graph: Graph
    feed: Feed
    at_once: int
    threads: int
    keeps_restart: bool = False

    @property
    def time_step(self) -> timedelta:
        return timedelta(hours=self.graph.card.lead_hours)

    @property
    def history(self) -> int:
        return self.graph.card.history

    @property
    def seen(self) -> tuple[tuple[datetime, datetime], ...]:
        return self.graph.card.seen

    def step(self, batch: Batch) -> Batch:
        """All members one `time_step` later; the last group is filled up with copies, so that all have one shape."""
        seconds, count = times.to_seconds(batch.time), len(batch.data)
        groups = [np.minimum(np.arange(i, i + self.at_once), count - 1) for i in range(0, count, self.at_once)]
        with ThreadPoolExecutor(self.threads) as pool:
            later = list(pool.map(lambda rows: self._group(batch, rows, seconds), groups))
        return Batch(batch.time + self.time_step, np.concatenate(later)[:count], (None,) * count)

    def _group(self, batch: Batch, rows: np.ndarray, seconds: int) -> np.ndarray:
        fields, before = batch.data[rows], None if batch.before is None else batch.before[rows]
        found = self.graph(self.feed(fields, before, seconds))[:, self._given]
        mean, std, tendency = self._scales
        return fields + tendency * found if self.graph.card.predicts == "tendency" else mean + std * found

    @cached_property
    def _given(self) -> list[int]:
        """Number of each channel among the outputs."""
        return [self.graph.card.given.index(channel.name) for channel in self.space.channels]

    @cached_property
    def _scales(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, standard deviation and that of the tendency, float32 (channel, 1, 1)."""
        moments = {name: self.graph.card.normalization.get(name, PLAIN) for name in self.feed.channels}
        tendency = [moments[name].tendency_std or 1.0 for name in self.feed.channels]
        return *normalization.columns(moments, self.feed.channels), np.array(tendency, np.float32)[:, None, None]


def create(space: StateSpace, options: Options) -> Onnx:
    """Raises UserError where file, card, device and space do not fit one another."""
    path = find(options.file, SUFFIX)
    look = graph.look(path)
    card = _card(path, options, look.metadata)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if card.sha256 and card.sha256 != sha256:
        raise UserError(f"{path}: expected a graph of sha256 {card.sha256[:12]}…, as its card says, got "
                        f"{sha256[:12]}…: one of both belongs to another; copy both again")
    provider = _provider(options.device)
    made = graph.opened(path, card, look, [provider])
    threads = 1 if provider == ON_GPU else options.threads or control_groups.processors()
    return Onnx(space, f"onnx-{card.name}", {"weights": sha256}, made, _feed(card, space, path),
                made.members or options.at_once, threads)


def seen(options: Options) -> tuple[tuple[datetime, datetime], ...]:
    """Times that the model was made from, as a card beside it says; none where there is none yet."""
    path = _beside(find(options.file, SUFFIX), options)
    return cards.read(path).seen if path.exists() else ()


def _beside(path: Path, options: Options) -> Path:
    return find(options.card, ".toml") if options.card else path.with_suffix(".toml")


def _card(path: Path, options: Options, metadata: Mapping[str, str]) -> OnnxCard:
    beside = _beside(path, options)
    if not beside.exists() and not options.card and cards.METADATA in metadata:
        return cards.of_text(metadata[cards.METADATA], f"{path}: its card")
    return cards.read(beside)


def _feed(card: OnnxCard, space: StateSpace, path: Path) -> Feed:
    """Raises UserError where the card's model cannot carry states of `space` forward."""
    if not space.grid.is_same(card.horizontal):
        raise UserError(f"{path}: expected states on the {card.horizontal}, got the {space.grid}; check [grid], or "
                        "give the model its own by [model.grid]")
    channels = tuple(channel.name for channel in space.channels)
    if unknown := [name for name in channels if name not in card.given]:
        raise UserError(f"{path}: does not give {', '.join(unknown)}; it gives {', '.join(card.given)}; check [state]")
    needs = {OROGRAPHY, LAND_SEA_MASK} & set(card.fed) and card.static
    fields = static.read(path.parent / card.static, card.horizontal) if needs else None
    try:
        return Feed(card.fed, channels, card.horizontal, card.normalization, fields)
    except ValueError as error:
        raise UserError(f"{path}: {error}; check [state] and its card") from None


def _provider(device: str) -> str:
    there = onnxruntime.get_available_providers()
    if device == "cuda" and ON_GPU not in there:
        raise UserError(f'[model.options] device = "cuda", but ONNX Runtime {onnxruntime.__version__} has only '
                        f"{', '.join(there)}; install onnxruntime-gpu, or choose cpu")
    return ON_GPU if device != "cpu" and ON_GPU in there else ON_CPU
