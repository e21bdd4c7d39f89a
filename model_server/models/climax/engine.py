"""A step of ClimaX by ONNX Runtime: its graph, made once on a machine and kept, in place of PyTorch.

The forecasts are those of the same weights to the rounding of float32 (`networks.onnx.export`), in about half of the
time on a CPU.  Name and identity are those of the weights, so that an archive of their residuals serves both.
"""

import logging
from collections.abc import Mapping

import onnxruntime

from contracts import control_groups
from contracts.state import StateSpace
from model_server import cache
from model_server.models.onnx import Onnx
from networks.climax.emulator import ClimaXEmulator
from networks.feed import Feed
from networks.onnx import export, graph
from networks.onnx.export import Step

log = logging.getLogger(__name__)


def model_of(emulator: ClimaXEmulator, space: StateSpace, name: str, identity: Mapping[str, str], at_once: int,
             threads: int | None) -> Onnx:
    """The model of a settled emulator of `space`; raises UserError where its network has noise."""
    card = emulator.stepping.card
    export.refuse_noise(card, 'choose [model.options] engine = "torch"')
    made = graph.of_ours(_graph(Step(emulator), card.name), export.card_of(card, emulator.channels))
    log.info("%s: members to a run: %d, by ONNX Runtime %s", card.name, at_once, onnxruntime.__version__)
    feed = Feed(emulator.channels, emulator.channels, space.grid, {})  # the graph normalises
    return Onnx(space, name, identity, made, feed, at_once, threads or control_groups.processors())


def _graph(step: Step, whose: str) -> bytes:
    path = cache.path(f"climax-{whose}", ".onnx", export.follows_from(step))
    content = cache.read(path)
    if content is None:
        log.info("%s: making its graph for ONNX Runtime, once on this machine (some seconds)", whose)
        content = export.graph_of(step)
        cache.write(path, content)
    return content
