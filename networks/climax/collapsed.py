"""Tokenise and aggregate without tokens: the path that runs, in training and in forecasts.

The query of the aggregation is one learned vector q, the same at every place.  With the token of variable v

    t_v = W_v x_v + b_v + e_v,      x_v (p²,) its pixels, W_v (D, p²)

the score of head h is linear in the pixels, and so is the value; the keys' bias shifts all scores alike and drops
out of the softmax:

    s_hv = a_hᵀ t_v,                a_h = K_hᵀ (Q_h q + q0_h)/√d
    A_hv = softmax_v s_hv
    o_h  = Σ_v A_hv V_h t_v + v0_h = M_h z_h + v0_h,      z_h = (A_hv x_v, A_hv) stacked over v, V (p² + 1) numbers
                                                          M_h = (V_h W_v, V_h (b_v + e_v)) likewise
    pooled = O (o_1 … o_H) + o0

One matrix product over V (p² + 1) numbers replaces V tokens of D numbers at each place.  For forecasts M and a are
formed once and what does not depend on x, biases, positions and lead time, is one addend.  In training they are
formed at each step, so that gradients reach the parameters that define them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from networks.climax.network import Architecture, ClimaX, patched, unpatched


@dataclass(frozen=True)
class Aggregation:
    """What tokenise and aggregate amount to."""

    size: Architecture
    score: Tensor  # (V, p², H): a_hᵀ W_v
    score_bias: Tensor  # (V, 1, H): a_hᵀ (b_v + e_v)
    value: Tensor  # (H, V (p² + 1), d): M_hᵀ
    value_bias: Tensor  # (D,): v0
    out: Tensor  # (D, D): O
    addend: Tensor  # (1, L, D) or (B, L, D): o0 + positions + lead time

    def pooled(self, x: Tensor) -> Tensor:
        """x (B, V, lat, lon) -> (B, L, D), with positions and lead time."""
        pixels = patched(x, self.size).flatten(0, 1)  # (B L, V, p²)
        scores = torch.baddbmm(self.score_bias, pixels.transpose(0, 1), self.score)  # (V, B L, H)
        weights = scores.permute(2, 1, 0).softmax(dim=-1)[..., None]  # (H, B L, V, 1)
        stacked = torch.cat([weights * pixels, weights], dim=-1).flatten(2)  # (H, B L, V (p² + 1))
        heads = torch.bmm(stacked, self.value).transpose(0, 1).flatten(1)  # (B L, D)
        mixed = functional.linear(heads + self.value_bias, self.out)
        return mixed.unflatten(0, (x.shape[0], self.size.tokens)) + self.addend


def aggregation(network: ClimaX, lead: Tensor, variables: Sequence[int] | None = None) -> Aggregation:
    """The aggregation of `network` for `lead` (1,) or (B,) and inputs numbered `variables` (default: all)."""
    size, attention = network.size, network.var_agg
    chosen = slice(None) if variables is None else list(variables)
    weight = network.token_embeds.weight()[chosen].flatten(2)  # (V, D, p²)
    still = network.token_embeds.bias()[chosen] + network.var_embed[0, chosen]  # (V, D)

    query_part, key_part, value_part = attention.in_proj_weight.chunk(3)
    query_bias, _, value_bias = attention.in_proj_bias.chunk(3)
    query = functional.linear(network.var_query[0, 0], query_part, query_bias)  # (D,)
    by_head = (size.heads, size.embed_dim // size.heads)
    keys, values = key_part.unflatten(0, by_head), value_part.unflatten(0, by_head)  # (H, d, D)
    ask = torch.einsum("hd,hde->he", query.unflatten(0, by_head), keys) / sqrt(by_head[1])  # a, (H, D)

    full = torch.cat([weight, still[..., None]], dim=-1)  # (V, D, p² + 1)
    value = torch.einsum("hde,vep->hvpd", values, full).flatten(1, 2)
    return Aggregation(
        size=size,
        score=torch.einsum("he,vep->vph", ask, weight),
        score_bias=torch.einsum("he,ve->vh", ask, still)[:, None],
        value=value,
        value_bias=value_bias,
        out=attention.out_proj.weight,
        addend=attention.out_proj.bias + network.pos_embed + network.lead_time_embed(lead[:, None])[:, None],
    )


def forward(network: ClimaX, x: Tensor, lead: Tensor, variables: Sequence[int] | None = None,
            noise: Tensor | None = None) -> Tensor:
    """The same as `network(x, lead, variables, noise)`, differentiable, without forming tokens."""
    return network.decode(network.trunk(aggregation(network, lead, variables).pooled(x), noise))


class Settled(nn.Module):
    """`network` with weights that stay, for one lead time, with chosen inputs and outputs.

    (B, inputs, lat, lon), and noise (B, L, numbers) where the network has it -> (B, outputs, lat, lon), differentiable.
    """

    weight: Tensor  # (p² outputs, D), of the head's last layer
    bias: Tensor

    @torch.no_grad()
    def __init__(self, network: ClimaX, lead: float, inputs: Sequence[int], outputs: Sequence[int]):
        super().__init__()
        self.network = network.eval()
        formed = aggregation(network, torch.tensor([lead], device=network.pos_embed.device), inputs)
        for field in fields(Aggregation)[1:]:
            self.register_buffer(field.name, getattr(formed, field.name).detach(), persistent=False)
        last = network.last
        rows = [pixel * network.size.outputs + field for pixel in range(network.size.patch**2) for field in outputs]
        self.register_buffer("weight", last.weight[rows].contiguous(), persistent=False)
        self.register_buffer("bias", last.bias[rows].contiguous(), persistent=False)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        formed = Aggregation(self.network.size, *(getattr(self, field.name) for field in fields(Aggregation)[1:]))
        hidden = self.network.head[:-1](self.network.trunk(formed.pooled(x), noise))
        return unpatched(functional.linear(hidden, self.weight, self.bias), self.network.size)
