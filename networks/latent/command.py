"""`latent`: fit a latent to errors of forecasts and say what it loses of errors of other years."""

from collections.abc import Sequence

from contracts import program
from contracts.errors import UserError


def main(arguments: Sequence[str]) -> None:
    parser = program.parser(
        "python -m networks latent",
        "Fit the latent that [latent] describes: forecasts from states of a nature run that the network has not seen,\n"
        "their errors, and the functions in which these are nearly uncorrelated. Writes the numbers and their card.",
        "python -m networks latent run/experiments/neural/latent_eof.toml",
    )
    program.add_experiment(parser)
    path = parser.parse_args(arguments).experiment
    try:
        from networks.latent import making
    except ModuleNotFoundError as error:
        raise UserError(f"the network needs the package {error.name}: pip install 'letkf-mpi[torch]'") from None
    making.make(path)
