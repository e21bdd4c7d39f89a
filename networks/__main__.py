"""`python -m networks COMMAND …`: each command is a module with `main(arguments)`, imported when asked for."""

import importlib
from collections.abc import Sequence

from contracts import program
from contracts.errors import UserError, unknown

COMMANDS = {
    "train": ("networks.train", "train a network on the states of a nature run or of WeatherBench"),
    "skill": ("networks.skill", "score trained weights in a period that they have not seen"),
    "fetch": ("networks.fetch", "the weights of a card from the address that it names"),
    "convert": ("networks.climax.convert", "weights of the public ClimaX code into ours, with their model card"),
    "export": ("networks.onnx.command", "a ClimaX as a graph of ONNX, with its card"),
    "climate": ("networks.climate.command", "the Gaussian climate of the states of nature runs"),
    "latent": ("networks.latent.command", "a latent in which errors of forecasts are nearly uncorrelated"),
    "downscale": ("networks.downscale.command", "spread and members of an ensemble on a finer grid"),
    "look": ("networks.look.command", "what latents lose, what still goes together in them, balance of increments"),
}
HELP = "\n".join([
    "usage: python -m networks COMMAND EXPERIMENT.toml …", "", "Networks: trained, scored, converted.", "",
    "commands:", *(f"  {name:9} {what}" for name, (_, what) in COMMANDS.items()), "",
    "`python -m networks COMMAND --help` explains one of them.", "", "example:",
    "  python -m networks train run/experiments/train_climax.toml",
])


def main(arguments: Sequence[str]) -> None:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(HELP)
        return
    command, *rest = arguments
    if command not in COMMANDS:
        raise UserError(unknown("command", command, COMMANDS))
    importlib.import_module(COMMANDS[command][0]).main(rest)


if __name__ == "__main__":
    program.run(main, "networks")
