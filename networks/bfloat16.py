"""Whether bfloat16 is fast here: without instructions of the processor it is emulated, ten times as slow as float32."""

from pathlib import Path

import torch

PROCESSOR = Path("/proc/cpuinfo")
INSTRUCTIONS = {"amx_bf16", "avx512_bf16", "bf16"}  # products of bfloat16: on x86 the first two, on ARM the last


def is_multiplied_by(device: torch.device) -> bool:
    """Whether products of bfloat16 are instructions of the processor, not emulated."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(INSTRUCTIONS & _features())


def _features() -> set[str]:
    """What the processor says that it can, in the words of Linux; nothing where it does not say."""
    try:
        lines = PROCESSOR.read_text().splitlines()
    except OSError:
        return set()
    return {word for line in lines if line.startswith(("flags", "Features")) for word in line.partition(":")[2].split()}
