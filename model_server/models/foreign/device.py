"""Where a model of another package computes."""

from typing import TYPE_CHECKING

from contracts.errors import UserError, shown

if TYPE_CHECKING:
    import torch


def named(name: str) -> "torch.device":
    """The device `cpu`, `cuda` or `cuda:1`; raises UserError where there is none of that name."""
    import torch  # here, because whoever checks settings need not have it

    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"[model.options] device = {shown(name)} is no device; choose cpu, cuda or cuda:1") from None
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise UserError(f"[model.options] device = {name!r}, but torch {torch.__version__} sees {count or 'no'} GPU; "
                        "choose cpu, or run where it is")
    return device
