"""From fields in SI units to what the network sees, and from what it says to the fields one step later.

    inputs = (x - mean) / std of the channels and of what follows from them, and the constant fields, as the card says
    next   = x + tendency_std · y     if the network predicts the tendency
    next   = c + D(x - c) + tendency_std · y   if it predicts what damping leaves of the tendency to it
    next   = mean + std · y           if it predicts the field

D takes small scales out of the anomaly from the climatology c, by spherical harmonics: what no atmosphere has, noise
that the analysis left between its stations, is then not carried on for ever, because the network never gives it back.

Training and forecasts share this one definition.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from networks import diagnosed, harmonics, normalization
from networks.card import Card
from networks.checkpoint import Checkpoint
from networks.climax import humidity
from networks.climax.card import ClimaXCard
from networks.climax.network import Architecture, ClimaX, Layout
from networks.normalization import CONSTANTS


class Stepping(nn.Module):
    """For fields in the order of `channels`, ascending latitude; it has no weights of its own."""

    take: Tensor  # (inputs,) number of each input among channels and constants
    constants: Tensor  # (constant, lat, lon), normalised
    mean: Tensor  # (channel, 1, 1)
    std: Tensor
    scale: Tensor  # what the network's output is multiplied with

    def __init__(self, card: Card[ClimaXCard], constants: dict[str, np.ndarray], channels: Sequence[str],
                 climatology: np.ndarray | None = None):
        """Raises ValueError where the card cannot carry `channels` forward."""
        super().__init__()
        _refuse_open_loop(card, channels)
        self.card, self.channels = card, tuple(channels)
        self.token = tuple(card.network.tokens.index(name) for name in card.inputs)  # number of each input
        self.output = tuple(card.network.head.index(name) for name in channels)  # of each channel in the head
        self.damped: nn.Module | None = None if climatology is None else Damped(card, climatology, channels)
        mean, std = normalization.columns(card.normalization, channels)
        scale = std
        if card.network.predicts == "tendency":
            scale = np.array([card.normalization[name].tendency_std for name in channels], np.float32)[:, None, None]
        followed = [name for name in card.inputs if diagnosed.sources(name)]
        self.diagnosed = None if not followed else Diagnosed(card, followed, channels)
        known = [*channels, *followed, *(name for name in card.inputs if name in CONSTANTS)]
        _keep(self, take=np.array([known.index(name) for name in card.inputs]),
              constants=_normalised(card, constants), mean=mean, std=std, scale=scale)

    def inputs(self, fields: Tensor) -> Tensor:
        """(B, channel, lat, lon) -> (B, input, lat, lon), rows as the network knows them."""
        channels, constants = (fields - self.mean) / self.std, self.constants.expand(fields.shape[0], -1, -1, -1)
        known = [channels, constants] if self.diagnosed is None else [channels, self.diagnosed(fields), constants]
        return self._turned(torch.cat(known, dim=1)[:, self.take])

    def next(self, fields: Tensor, output: Tensor) -> Tensor:
        """Fields and the network's output for them (B, channel, lat, lon) -> fields one step later."""
        change = self._turned(output) * self.scale
        if self.damped is not None:
            return change + self.damped(fields)
        return change + (fields if self.card.network.predicts == "tendency" else self.mean)

    @property
    def lead(self) -> float:
        """What the network is told of the lead time."""
        return self.card.network.lead_hours / self.card.network.lead_scale

    def _turned(self, fields: Tensor) -> Tensor:
        return fields.flip(-2) if self.card.grid.latitude == "descending" else fields


class Diagnosed(nn.Module):
    """Relative humidity of some levels, normalised, from temperature and specific humidity there."""

    mean: Tensor  # (input, 1, 1)
    std: Tensor

    def __init__(self, card: Card[ClimaXCard], names: Sequence[str], channels: Sequence[str]):
        super().__init__()
        self.sources = [tuple(channels.index(source) for source in diagnosed.sources(name)) for name in names]
        self.pressures = [diagnosed.pressure(name) for name in names]
        mean, std = normalization.columns(card.normalization, names)
        _keep(self, mean=mean, std=std)

    def forward(self, fields: Tensor) -> Tensor:
        """(B, channel, lat, lon) -> (B, input, lat, lon)"""
        found = [humidity.relative_humidity(fields[:, temperature], fields[:, specific], pressure)
                 for (temperature, specific), pressure in zip(self.sources, self.pressures, strict=True)]
        return (torch.stack(found, dim=1) - self.mean) / self.std


class Damped(nn.Module):
    """What is carried on of fields: the climatology, and of the anomaly what the card's damping leaves of it."""

    climatology: Tensor  # (channel, lat, lon)
    factor: Tensor  # (channel, 1, 1)
    operators: Tensor  # (m, lat, lat), for each zonal wavenumber

    def __init__(self, card: Card[ClimaXCard], climatology: np.ndarray, channels: Sequence[str]):
        """`climatology` (output, lat, lon) in the order of the card; raises ValueError for too many wavenumbers."""
        super().__init__()
        damping = card.network.damping
        assert damping is not None
        rows = [card.outputs.index(name) for name in channels]
        factor = np.array([damping.factor.get(name, 1.0) for name in channels])[:, None, None]
        operators = harmonics.operators(card.horizontal, harmonics.diffusion(card.horizontal, damping.truncation))
        _keep(self, climatology=climatology[rows], factor=factor, operators=operators)

    def forward(self, fields: Tensor) -> Tensor:
        """(B, channel, lat, lon)"""
        spectrum = torch.fft.rfft(fields - self.climatology, dim=-1)[..., : len(self.operators)]
        parts = torch.view_as_real(spectrum)  # (B, channel, lat, m, 2)
        passed = torch.einsum("mij,bcjmr->bcimr", self.operators, parts).contiguous()
        smooth = torch.fft.irfft(torch.view_as_complex(passed), n=fields.shape[-1], dim=-1)
        return self.climatology + self.factor * smooth


def _keep(module: nn.Module, **arrays: np.ndarray) -> None:
    """Arrays as parts of a module that move with it, float32 where they are no numbers of fields."""
    for name, array in arrays.items():
        dtype = torch.int64 if array.dtype.kind == "i" else torch.float32
        module.register_buffer(name, torch.tensor(array, dtype=dtype), persistent=False)


def _normalised(card: Card[ClimaXCard], constants: Mapping[str, np.ndarray]) -> np.ndarray:
    """(constant, lat, lon), the constant inputs in their order."""
    names = [name for name in card.inputs if name in CONSTANTS]
    moments = card.normalization
    fields = [(constants[name] - moments[name].mean) / moments[name].std for name in names]
    return np.stack(fields) if fields else np.empty((0, *card.horizontal.shape))


def architecture(card: Card[ClimaXCard]) -> Architecture:
    """Sizes of the network; raises ValueError where they cannot be."""
    network = card.network
    return Architecture(
        card.grid.nlat, card.grid.nlon, len(network.tokens), len(network.head), network.patch, network.embed_dim,
        network.depth, network.heads, network.decoder_depth, network.mlp_ratio, network.noise,
        network.window,
    )


def layout_of(weights: Sequence[str]) -> Layout:
    """Which of upstream's layouts these parameter names belong to."""
    return "parallel" if "token_embeds.proj_weights" in weights else "serial"


def shapes(card: Card[ClimaXCard], layout: Layout) -> dict[str, tuple[int, ...]]:
    """Every parameter of the card's network, without allocating one."""
    with torch.device("meta"):
        network = ClimaX(architecture(card), layout)
    return {name: tuple(parameter.shape) for name, parameter in network.state_dict().items()}


def build(checkpoint: Checkpoint[ClimaXCard]) -> ClimaX:
    """The network with its weights; names and shapes must have been checked (`shapes`)."""
    with torch.device("meta"):
        network = ClimaX(architecture(checkpoint.card), layout_of(list(checkpoint.weights)))
    weights = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in checkpoint.weights.items()}
    network.load_state_dict(weights, strict=True, assign=True)
    return network.eval()


def _refuse_open_loop(card: Card[ClimaXCard], channels: Sequence[str]) -> None:
    unknown = [name for name in channels if name not in card.outputs]
    if unknown:
        raise ValueError(f"{card.name} does not predict {', '.join(unknown)}; it predicts {', '.join(card.outputs)}")
    missing = [name for name in card.fed_back if name not in channels]
    if missing:
        raise ValueError(f"{card.name} needs {', '.join(missing)} among the channels")
