"""Models of an installed package through the whole corridor: their past survives kills and retention."""

import os
import random
import time

import pytest

from tests.system import experiment
from tests.system.experiment import data, kill, make, nothing_half_written

MODEL = 'name = "{model}"\nbatch = {batch}\n{more}\n{retention}'
FORGETFUL = "[retention]\nmembers_hours = 0\nmonthly = false\n"
TIMES = 3


def made(work, model: str, more: str, batch: int, retention: str = ""):
    model = MODEL.format(model=model, batch=batch, more=more, retention=retention)
    text = experiment.TEXT.replace("end = 1989-01-01T06", "end = 1989-01-01T12")
    return make(work, text.replace('name = "persistence"\n', model))


@pytest.mark.parametrize(("model", "more"), [("inertia", 'before = "shifted"'), ("noisy", "")])
def test_killed_and_tidied_a_cycle_has_the_bits_of_one_left_alone(installed, tmp_path, monkeypatch, model, more):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(installed), str(experiment.CHECKOUT)]))
    whole = made(tmp_path / "whole", model, more, experiment.MEMBERS)
    done = whole.run(after="--services")
    assert done.returncode == 0, done.stdout + done.stderr
    broken = made(tmp_path / "broken", model, more, 3, FORGETFUL)
    moments = random.Random(model)
    for _ in range(2):
        process = broken.start()
        time.sleep(moments.uniform(2.0, 8.0))
        kill(process)
        nothing_half_written(broken)
    done = broken.run()
    assert done.returncode == 0, done.stdout + done.stderr
    expected, found = data(whole.folder), data(broken.folder)
    assert len(expected.keys() - found.keys()) == experiment.MEMBERS * (2 * TIMES - 3)  # what retention took
    for file in found:
        assert all(found[file][name].tobytes() == expected[file][name].tobytes() for name in expected[file]), file
    changed = [expected[f"{name}/background/m0001.nc"]["temperature"] for name in ("1989010106", "1989010112")]
    assert changed[0].tobytes() != changed[1].tobytes()
