"""An analysis program of another package, with its own section: it shifts temperatures and remembers by how much."""

from pytest import approx

from contracts import numbers, observations, times
from contracts.variables import Flag, Quantity
from tests.system.experiment import bring

DESCRIBED = 'PROGRAM = Program("bias:Settings", ("bias",), makes="analysis", carries=("bias.nc",))'
CODE = '''
from contracts import analysis, config, ensemble, launcher, numbers, paths, program, static, variables
from contracts.follow import Follower
from obsoperator import Forward, comparison
class Bias(config.Section, frozen=True): gain: float = 0.5
class Settings(config.Section, frozen=True):
    experiment: config.Experiment
    grid: config.GridSettings
    state: config.StateSettings
    bias: Bias = Bias()
def analyse(experiment, space, gain, time):
    folder, members, before = experiment.folder.at(time), range(experiment.members), time - experiment.step
    X = ensemble.read_members(folder.background, members, space, time)
    table, source = analysis.read_observations(experiment, time)
    H = Forward.of(table, space, static.read(experiment.folder.static, space.grid), 300.0)
    guess = comparison.judge(table, comparison.observe(H, X), comparison.BackgroundCheck(), (1,))
    bias = gain * float(guess.used().d[guess.used().quantity == variables.Quantity.temperature].mean())
    if time > experiment.start:
        bias += numbers.read(experiment.folder.at(before).field("bias"), ["bias"], before)["bias"]
    X[:, [channel.variable == "temperature" for channel in space.channels]] += bias
    out = analysis.Writer(folder, space, time, experiment.name)
    with paths.side_by_side() as disk:
        out.members(X, members, disk)
        out.statistics(*ensemble.moments(X), disk)
    numbers.write(folder.field("bias"), {"bias": bias}, time)
    out.last(guess.with_analysis(H.apply(X).T), source)
def main(arguments):
    launcher.refuse_several("bias")
    settings = config.load(analysis.parse(arguments, "bias", "", "").experiment, Settings)
    with Follower(settings.experiment, "bias") as follower:
        for time in analysis.each_time(settings.experiment, follower):
            analyse(settings.experiment, settings.state.space(settings.grid.grid()), settings.bias.gain, time)
if __name__ == "__main__": program.run(main, "bias")
'''


def test_it_is_cycled_and_its_settings_are_looked_at(fresh):
    bring(fresh, "bias", CODE, DESCRIBED)
    whole, on_path = fresh.path.read_text() + "[bias]\ngain = 0.25\n", f'export PYTHONPATH="{fresh.work}"'
    fresh.path.write_text(whole.replace("gain", "gian"))
    assert "[bias]: unknown setting 'gian'; known: gain" in fresh.run(before=on_path).stderr
    fresh.path.write_text(whole)
    done, bias = fresh.run(before=on_path, after="--services"), 0.0
    assert done.returncode == 0, done.stdout + done.stderr
    for time in map(times.parse, ("1989010100", "1989010106")):
        table = observations.read_departures(fresh.folder / times.name(time) / "departures.nc")[0]
        table = table.select((table.flag == Flag.assimilated) & (table.quantity == Quantity.temperature))
        bias += 0.25 * (table.value - table.background_mean).mean()
        assert numbers.read(fresh.folder / times.name(time) / "bias.nc", ["bias"], time)["bias"] == approx(bias) != 0
        assert table.analysis_mean - table.background_mean == approx(bias, abs=1e-4)
