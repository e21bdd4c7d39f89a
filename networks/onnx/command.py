"""`python -m networks export WEIGHTS FILE.onnx`: a ClimaX as a graph of ONNX, with its card."""

from collections.abc import Sequence
from pathlib import Path

from contracts import program
from networks import starter


def main(arguments: Sequence[str]) -> None:
    parser = program.parser(
        "python -m networks export",
        "Write a ClimaX as a graph of ONNX, FILE.onnx, with its card FILE.toml beside it.",
        "python -m networks export climax_t31 climax_t31.onnx",
    )
    parser.add_argument("weights", metavar="WEIGHTS", help="a name that comes with the code, or a .safetensors file")
    parser.add_argument("file", metavar="FILE.onnx", type=Path)
    given = parser.parse_args(arguments)
    from networks.climax import emulator  # here, because torch takes a while to import
    from networks.onnx import export

    card = export.export(emulator.load(starter.find(given.weights, starter.WEIGHTS)), given.file)
    print(f"{given.file}: {len(card.given)} channels on the {card.horizontal}, steps of {card.lead_hours:g} h")
