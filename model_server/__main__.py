"""`python -m model_server COMMAND …`: each command is a module with `main(arguments)`, imported when asked for."""

import importlib
from collections.abc import Sequence

from contracts import program
from contracts.errors import UserError, unknown

COMMANDS = {
    "nature": "a long run of a model: the truth of a twin experiment, the climate of an initial ensemble",
    "catalogue": "runs of a model with parameters from all over their ranges",
    "pack": "what an experiment begins with, from its nature runs, in one small file",
    "initial": "the first background ensemble, from states of a nature run",
    "forecast": "every member from the analysis of one time to the background of the next",
    "serve": "the same for all times, by one process that loads the model once; --follow waits for analyses",
    "deterministic": "one forecast from the mean of the analyses of several experiments, by one model",
    "free": "the first ensemble through all times without any analysis",
    "residuals": "a model's errors over one step, in years that it has not seen, for [model.noise]",
}
MOVED = ("train", "skill", "convert")  # to the room of networks, one release ago
HELP = "\n".join([
    "usage: python -m model_server COMMAND EXPERIMENT.toml …", "", "Ensemble forecasts.", "", "commands:",
    *(f"  {name:13} {what}" for name, what in COMMANDS.items()), "",
    "`python -m model_server COMMAND --help` explains one of them.", "", "example:",
    "  python -m model_server forecast run/experiments/twin_speedy.toml 1989010106",
])


def main(arguments: Sequence[str]) -> None:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(HELP)
        return
    command, *rest = arguments
    if command in MOVED:
        raise UserError(f"{command} moved: python -m networks {' '.join(arguments)}")
    if command not in COMMANDS:
        raise UserError(unknown("command", command, COMMANDS))
    importlib.import_module(f"model_server.{command}").main(rest)


if __name__ == "__main__":
    program.run(main, "model_server")
