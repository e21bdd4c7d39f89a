"""Biases of aircraft learned while cycling: the same bits by one process a step, by services, and made again."""

import pytest

from contracts import observations
from contracts.variables import Quantity
from obsoperator.aircraft_bias import NAME
from tests.system import experiment
from tests.system.experiment import TEXT, TIMES, Experiment, data, same

LISTED = TEXT.replace('source = "synthetic"', 'source = "table"\nfiles = ["{work}/%Y%m%d%H.csv"]').replace(
    "[synthetic]\ntruth = \"truth/%Y%m%d%H.nc\"\nstations = [4, 8, 16, 8, 4]\n", "") + """
[aircraft_bias]
learn = true
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Experiment:
    """Soundings and aircraft that read too high."""
    work = tmp_path_factory.mktemp("work")
    for time in TIMES:
        when = f"{time[:4]}-{time[4:6]}-{time[6:8]}T{time[8:]}:00:00Z"
        rows = [f"temperature,{250 + i % 5},1.0,{i - 60},{3 * i},50000,{when},{name},{kind}"
                for i in range(120) for name, kind in [("PLANE", 131) if i % 2 else ("SONDE", 120)]]
        (work / f"{time}.csv").write_text("\n".join(["quantity,value,error,lat,lon,pressure,time,station,type", *rows]))
    return experiment.make(work, LISTED.replace("{work}", str(work)))


def test_the_bits_are_the_same_by_services_and_when_it_is_made_again(made):
    done = made.run()
    assert done.returncode == 0, done.stdout + done.stderr
    came, used = (read(made.folder / TIMES[1] / name)[0] for read, name in (
        (observations.read, "observations.nc"), (observations.read_departures, "departures.nc")))
    changed = came.value != used.value
    assert changed.any() and set(came.type[changed]) == {131} and set(came.quantity[changed]) == {Quantity.temperature}
    before = data(made.folder)
    assert f"{TIMES[0]}/{NAME}.nc" in before
    again = made.run(after=f"--services --redo observations {TIMES[0]}")
    assert again.returncode == 0 and "removed that it made" in again.stdout, again.stdout + again.stderr
    same(data(made.folder), before)
