"""ClimaX in plain torch: the definition that everything else is held to.

    x (B, V, lat, lon), normalised
      t_v     = patches of variable v times W_v + b_v + var_embed_v           tokens (B, V, L, D), L = lat lon / p²
      pooled  = MultiheadAttention(query = var_query, keys = values = t_1 … t_V) at each of the L places
      h       = pooled + pos_embed + lead_time_embed(lead)
      h       = blocks(h): h + attention(norm1 h), then h + mlp(norm2 h)      pre-norm ViT, exact GELU; with `window`
                                                                              attention within `windows`
      y       = head(norm h), (B, L, p p V_out) folded back to (B, V_out, lat, lon)

A network with noise z (B, L, numbers) has in its last blocks, for each norm and for the one before the head,

      norm h + (A z) * norm h + B z

with A and B zero at first (conditional layer norms: Perez et al. 2018, arXiv 1709.07871; for ensembles Lang et al.
2024, arXiv 2412.15832, and Alet et al. 2025, arXiv 2506.10772).

Nguyen et al. (2023), ClimaX, arXiv 2301.10343.  Names of parameters are those of the public code, v0.3.1, in both of
its layouts of the patch embedding, so that its weights load strictly.  The forward pass here forms all V L tokens;
`collapsed` gives the same numbers without them.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from networks.climax.sizes import NoiseSizes
from networks.climax.windows import Pair, Windows, refuse_misfit

Layout = Literal["parallel", "serial"]
Condition = tuple[Tensor, Tensor] | None  # scale and shift (B, L, D) of a norm
NORM_EPS = 1e-5


@dataclass(frozen=True)
class Architecture:
    """The sizes that fix every parameter's shape."""

    nlat: int
    nlon: int
    variables: int  # V, those that have a token embedding
    outputs: int  # V_out, fields that the head gives
    patch: int = 2
    embed_dim: int = 1024
    depth: int = 8
    heads: int = 16
    decoder_depth: int = 2
    mlp_ratio: float = 4.0
    noise: NoiseSizes | None = None
    window: Pair | None = None  # rows and columns of patches that attend to each other; none: all of them

    def __post_init__(self):
        if self.nlat % self.patch or self.nlon % self.patch:
            raise ValueError(f"patch {self.patch} does not divide the {self.nlat} x {self.nlon} grid")
        if self.embed_dim % self.heads or self.embed_dim % 4:
            raise ValueError(f"embed_dim {self.embed_dim} must be a multiple of 4 and of heads = {self.heads}")
        if self.noise is not None and self.noise.blocks > self.depth:
            raise ValueError(f"noise in {self.noise.blocks} blocks, but there are {self.depth}")
        if self.window is not None:
            refuse_misfit(self.patches, self.window)

    @property
    def patches(self) -> Pair:
        """Rows and columns of them."""
        return self.nlat // self.patch, self.nlon // self.patch

    @property
    def tokens(self) -> int:
        """L, places per variable."""
        return self.patches[0] * self.patches[1]


class _PatchProjection(nn.Module):
    def __init__(self, size: Architecture):
        super().__init__()
        self.proj = nn.Conv2d(1, size.embed_dim, size.patch, size.patch)


class SerialEmbedding(nn.ModuleList):
    """One convolution per variable: `{i}.proj.weight` (D, 1, p, p), `{i}.proj.bias` (D,)."""

    def __init__(self, size: Architecture):
        super().__init__(_PatchProjection(size) for _ in range(size.variables))

    def weight(self) -> Tensor:
        """(V, D, 1, p, p)"""
        return torch.stack([projection.weight for projection in self._projections()])

    def bias(self) -> Tensor:
        """(V, D)"""
        return torch.stack([projection.bias for projection in self._projections()])

    def _projections(self) -> list[Any]:
        return [one.proj for one in self]


class ParallelEmbedding(nn.Module):
    """The same parameters stacked: `proj_weights` (V, D, 1, p, p), `proj_biases` (V, D)."""

    def __init__(self, size: Architecture):
        super().__init__()
        self.proj_weights = nn.Parameter(torch.empty(size.variables, size.embed_dim, 1, size.patch, size.patch))
        self.proj_biases = nn.Parameter(torch.empty(size.variables, size.embed_dim))

    def weight(self) -> Tensor:
        return self.proj_weights

    def bias(self) -> Tensor:
        return self.proj_biases


class Attention(nn.Module):
    """Self-attention of the ViT, softmax(q kᵀ/√d) v for each head, over all places or within windows."""

    def __init__(self, size: Architecture, shifted: bool):
        super().__init__()
        self.heads = size.heads
        self.windows = None if size.window is None else Windows(size.patches, size.window, shifted)
        self.qkv = nn.Linear(size.embed_dim, 3 * size.embed_dim)
        self.proj = nn.Linear(size.embed_dim, size.embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        if self.windows is None:
            return self.proj(self._mixed(x))
        return self.proj(self.windows.joined([self._mixed(part) for part in self.windows.split(x)]))

    def _mixed(self, x: Tensor) -> Tensor:
        """(B, L, D), all L places seeing each other"""
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        # On a CPU the three products in bfloat16 take half the time of the fused kernel and its backward pass.
        plain = x.device.type == "cpu" and q.dtype == torch.bfloat16
        mixed = _attended(q, k, v) if plain else functional.scaled_dot_product_attention(q, k, v)
        return mixed.transpose(1, 2).reshape(batch, tokens, width)


def _attended(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q kᵀ/√d) v by its definition, (…, L, d)"""
    return ((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)).softmax(dim=-1) @ v


class Mlp(nn.Module):
    def __init__(self, size: Architecture):
        super().__init__()
        hidden = int(size.embed_dim * size.mlp_ratio)
        self.fc1 = nn.Linear(size.embed_dim, hidden)
        self.fc2 = nn.Linear(hidden, size.embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))


class Block(nn.Module):
    """Pre-norm ViT block; `shifted` says which windows are its own, where there are any."""

    def __init__(self, size: Architecture, shifted: bool = False):
        super().__init__()
        self.norm1 = nn.LayerNorm(size.embed_dim, eps=NORM_EPS)
        self.attn = Attention(size, shifted)
        self.norm2 = nn.LayerNorm(size.embed_dim, eps=NORM_EPS)
        self.mlp = Mlp(size)

    def forward(self, x: Tensor, first: Condition = None, second: Condition = None) -> Tensor:
        x = x + self.attn(conditioned(self.norm1(x), first))
        return x + self.mlp(conditioned(self.norm2(x), second))


def conditioned(normed: Tensor, condition: Condition) -> Tensor:
    """What noise makes of a norm (B, L, D); zeros leave it as it is to the last bit."""
    if condition is None:
        return normed
    scale, shift = condition
    return normed + (scale * normed + shift)


class Conditions(nn.Module):
    """From noise (B, L, numbers) to the conditions of the norms that see it, in their order; none of the others."""

    def __init__(self, size: Architecture, noise: NoiseSizes):
        super().__init__()
        self.blind = 2 * (size.depth - noise.blocks)
        self.maps = nn.ModuleList(nn.Linear(noise.numbers, 2 * size.embed_dim, bias=False)
                                  for _ in range(2 * noise.blocks + 1))

    def forward(self, noise: Tensor) -> list[Condition]:
        return [None] * self.blind + [tuple(one(noise).chunk(2, dim=-1)) for one in self.maps]


class ClimaX(nn.Module):
    """The network. A fresh one holds no sensible weights until `initialise` or `load_state_dict`."""

    def __init__(self, size: Architecture, layout: Layout = "parallel"):
        super().__init__()
        self.size = size
        width = size.embed_dim
        self.var_embed = nn.Parameter(torch.zeros(1, size.variables, width))
        self.var_query = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, size.tokens, width))
        self.token_embeds = ParallelEmbedding(size) if layout == "parallel" else SerialEmbedding(size)
        self.var_agg = nn.MultiheadAttention(width, size.heads, batch_first=True)
        self.lead_time_embed = nn.Linear(1, width)
        self.blocks = nn.ModuleList(Block(size, shifted=number % 2 == 1) for number in range(size.depth))
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        decoder = [layer for _ in range(size.decoder_depth) for layer in (nn.Linear(width, width), nn.GELU())]
        self.head = nn.Sequential(*decoder, nn.Linear(width, size.outputs * size.patch**2))
        if size.noise is not None:
            self.conditions = Conditions(size, size.noise)

    @property
    def last(self) -> nn.Linear:
        """The head's last layer, whose rows are (row, column, field) of a patch."""
        layer = self.head[-1]
        assert isinstance(layer, nn.Linear)
        return layer

    def forward(self, x: Tensor, lead: Tensor, variables: Tensor | None = None, noise: Tensor | None = None) -> Tensor:
        """x (B, V, lat, lon), lead (B,) -> (B, V_out, lat, lon); `variables` numbers the fields of x if not all."""
        pooled = self.pooled(self.tokens(x, variables))
        return self.decode(self.trunk(pooled + self.pos_embed + self.lead_time_embed(lead[:, None])[:, None], noise))

    def tokens(self, x: Tensor, variables: Tensor | None = None) -> Tensor:
        """(B, V, lat, lon) -> (B, V, L, D)"""
        chosen = slice(None) if variables is None else variables
        weight, bias = self.token_embeds.weight()[chosen], self.token_embeds.bias()[chosen]
        field = functional.conv2d(
            x, weight.flatten(0, 1), bias.flatten(), stride=self.size.patch, groups=len(weight)
        )  # (B, V D, lat/p, lon/p)
        tokens = field.flatten(2).unflatten(1, weight.shape[:2]).transpose(2, 3)
        return tokens + self.var_embed[:, chosen, None]

    def pooled(self, tokens: Tensor) -> Tensor:
        """(B, V, L, D) -> (B, L, D): one learned query attends to the variables of each place."""
        batch, _, places, _ = tokens.shape
        each = tokens.transpose(1, 2).flatten(0, 1)  # (B L, V, D)
        query = self.var_query.expand(len(each), -1, -1)
        mixed, _ = self.var_agg(query, each, each, need_weights=False)
        return mixed.view(batch, places, -1)

    def trunk(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """(B, L, D), and noise (B, L, numbers) where the network has it -> (B, L, D)"""
        of_norms = [None] * (2 * len(self.blocks) + 1) if noise is None else self.conditions(noise)
        for number, block in enumerate(self.blocks):
            x = block(x, *of_norms[2 * number : 2 * number + 2])
        return conditioned(self.norm(x), of_norms[-1])

    def decode(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, V_out, lat, lon)"""
        return unpatched(self.head(x), self.size)


def unpatched(y: Tensor, size: Architecture) -> Tensor:
    """(B, L, p p C) in the order row, column, field -> (B, C, lat, lon)."""
    p = size.patch
    cells = y.view(y.shape[0], size.nlat // p, size.nlon // p, p, p, -1)
    return cells.permute(0, 5, 1, 3, 2, 4).reshape(y.shape[0], -1, size.nlat, size.nlon)


def patched(x: Tensor, size: Architecture) -> Tensor:
    """(B, V, lat, lon) -> (B, L, V, p²), the pixels of each patch row by row."""
    p = size.patch
    cells = x.view(*x.shape[:2], size.nlat // p, p, size.nlon // p, p)
    return cells.permute(0, 2, 4, 1, 3, 5).reshape(x.shape[0], size.tokens, x.shape[1], p * p)


@torch.no_grad()
def initialise(network: ClimaX, generator: torch.Generator) -> None:
    """Fresh weights: a truncated normal of 0.02 and sinusoidal embeddings as in the paper, but for the aggregation.

    Its query starts at zero, so that every variable begins with the same weight 1/V.  Embedding and value projection
    are scaled so that the pooled field has variance one for inputs of variance one, beside ½ of the positions, rather
    than 1e-5, from which a short training hardly recovers; the value bias takes away what the variables' embeddings
    add at every place alike.
    """
    size = network.size
    for name, parameter in network.named_parameters():
        if name.endswith("norm.weight") or "norm1.weight" in name or "norm2.weight" in name:
            parameter.fill_(1.0)
        elif parameter.dim() < 2 or "proj_biases" in name or name == "var_query" or name.startswith("conditions."):
            parameter.zero_()
        else:
            nn.init.trunc_normal_(parameter, std=0.02, generator=generator)
    for parameter in network.token_embeds.parameters():
        if parameter.dim() > 2:
            parameter.normal_(0.0, 1 / size.patch, generator=generator)
    query, key, value = network.var_agg.in_proj_weight.chunk(3)
    for part in (query, key, network.var_agg.out_proj.weight):
        part.normal_(0.0, 1 / sqrt(size.embed_dim), generator=generator)
    value.normal_(0.0, sqrt(size.variables / size.embed_dim), generator=generator)
    numbers = torch.arange(size.variables, dtype=torch.float64)
    network.var_embed.copy_(sinusoids(numbers, size.embed_dim)[None])
    network.var_agg.in_proj_bias[2 * size.embed_dim :] = -value @ network.var_embed[0].mean(dim=0)
    network.pos_embed.copy_(positions(size)[None])


def positions(size: Architecture) -> Tensor:
    """(L, D): the first half of each vector encodes the column, the second half the row."""
    rows, columns = torch.meshgrid(*(torch.arange(count, dtype=torch.float64) for count in size.patches), indexing="ij")
    half = size.embed_dim // 2
    return torch.cat([sinusoids(columns.flatten(), half), sinusoids(rows.flatten(), half)], dim=1)


def sinusoids(places: Tensor, width: int) -> Tensor:
    """(n,) -> (n, width): sines then cosines of place · 10000^(-2i/width) (Vaswani et al. 2017)."""
    rates = 10_000.0 ** (-torch.arange(width // 2, dtype=torch.float64) / (width / 2))
    angles = places[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
