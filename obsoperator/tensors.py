"""H(x) in torch: the same parts with their arrays moved, the same formulas, and gradients for nothing.

    H = tensors.on(forward, "cpu", torch.float64)
    hx = H.apply(X)          # (..., channel, column) -> (..., nobs)

A row without H(x) is NaN and takes no part in any gradient.  The only module of this room that imports torch.
"""

from dataclasses import dataclass

import torch

from obsoperator.forward import Forward
from obsoperator.part import Formula


@dataclass(frozen=True)
class TensorForward:
    """H of the rows of a table in tensors of `dtype`: of each part its `entry` (m, n) and its formula; `place` (nobs,)
    is where a row stands among those of all parts, after the last of which there is a NaN for all that have no H(x)."""

    parts: tuple[tuple[torch.Tensor, Formula], ...]
    place: torch.Tensor
    dtype: torch.dtype

    def apply(self, X: torch.Tensor) -> torch.Tensor:
        """H(x) (..., nobs) of states `X` (..., channel, column) of any precision on the same device.

        On a processor member by member: torch takes powers of the last few numbers of an array with other instructions,
        and the bits of a member would depend on how many stand beside it.
        """
        if X.ndim > 2 and X.shape[0] and X.device.type == "cpu":
            return torch.stack([self.apply(x) for x in X])
        states = X.flatten(-2)
        values = [formula(_taken(states, entry.flatten()).to(self.dtype).unflatten(-1, entry.shape).unbind(-2))
                  for entry, formula in self.parts]
        values.append(states[..., :0].to(self.dtype))  # without any observation the gradient is 0, not an error
        none = states.new_full((*states.shape[:-1], 1), torch.nan, dtype=self.dtype)
        return _taken(torch.cat([*values, none], -1), self.place)


def _taken(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Elements (..., n) of `x` (..., size) at `index` (n,); the adjoint adds them up in order, several times as fast as
    those of `index_select` and of indexing."""
    return x.gather(-1, index.expand(*x.shape[:-1], -1))


def on(forward: Forward, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float64) -> TensorForward:
    """`forward` on a device, working in `dtype`."""
    parts = tuple((torch.as_tensor(part.entry, device=device),
                   part.formula.each(lambda array: torch.as_tensor(array, dtype=dtype, device=device)))
                  for part in forward.parts)
    nobs, found = forward.flag.size, [torch.as_tensor(part.rows) for part in forward.parts]
    rows = torch.cat([torch.empty(0, dtype=torch.int64), *found])
    place = torch.full((nobs,), rows.numel())
    place[rows] = torch.arange(rows.numel())
    return TensorForward(parts, place.to(device), dtype)
