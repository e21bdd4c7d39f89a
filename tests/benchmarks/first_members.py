"""First members taken from another experiment's background of the same time.

    python -m tests.benchmarks.first_members EXPERIMENT.toml --like FOLDER

It writes what `python -m model_server initial` writes, and run/prepare.sh then finds the first ensemble there.
"""

from collections.abc import Sequence
from pathlib import Path

from contracts import program, state, static
from contracts.ensemble import write_statistics
from contracts.nature import beside
from contracts.paths import ExperimentFolder
from model_server import config, restart
from model_server.chosen import model_of
from model_server.restart import Kept


def main(arguments: Sequence[str]) -> None:
    parser = program.parser("python -m tests.benchmarks.first_members", __doc__ or "",
                            "python -m tests.benchmarks.first_members mine.toml --like work/latent_3d_var_first")
    program.add_experiment(parser)
    parser.add_argument("--like", type=Path, required=True, metavar="FOLDER")
    chosen = parser.parse_args(arguments)
    settings, other = config.load(chosen.experiment), ExperimentFolder(chosen.like)
    experiment, model = settings.experiment, model_of(settings).name
    source, target = (folder.at(experiment.start).background for folder in (other, experiment.folder))
    static.write(experiment.folder.static, static.read(other.static, settings.space.grid))
    for number in range(1, experiment.members + 1):
        fields = state.read(source.member(number), settings.space, experiment.start)
        restart.write(beside(target.member(number)), Kept({}), model, experiment.start)
        state.write(target.member(number), fields, number, experiment.name)
    members = (state.read(path, settings.space).data for path in target.members(experiment.members))
    write_statistics(target, members, settings.space, experiment.start, experiment.name)


if __name__ == "__main__":
    program.run(main, "first_members")
