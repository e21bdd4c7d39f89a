"""The spectral filter behind a model: every model can have it, and it changes nothing else."""

from datetime import timedelta

import numpy as np
import pytest

from contracts import state
from contracts.errors import UserError
from model_server import config
from model_server.forecast import forecast, model_of
from model_server.models.base import Batch
from model_server.models.filtered import filtered
from networks import harmonics
from networks.harmonics import Filter
from tests import builders


def test_a_truncation_that_the_grid_does_not_resolve_is_refused(experiment):
    settings = experiment('[model]\nname = "persistence"\nspectral_filter = { truncation = 32 }\n')
    with pytest.raises(UserError, match=r"spectral_filter: a truncation of 32 is more than the 32 x 64 grid.*31"):
        model_of(settings)


def with_filter(persistence: config.Settings, folder, what: str) -> config.Settings:
    path = folder / "experiment.toml"
    text = path.read_text().replace("batch = 2\n", f"batch = 2\nspectral_filter = {{ {what} }}\n")
    path.write_text(text)
    return config.load(path)


def test_every_model_can_have_it_and_a_member_keeps_its_bits_whatever_it_is_batched_with(persistence, tmp_path):
    settings = with_filter(persistence, tmp_path, "truncation = 5, strength = 1.0, order = 2")
    forecast(settings, builders.TIME)
    folder, later = settings.experiment.folder, builders.TIME + timedelta(hours=6)
    data = np.stack([state.read(path, settings.space).data for path in folder.at(builders.TIME).analysis.members(3)])
    expected = Filter.of(settings.space, harmonics.response(5, 2, 1.0))
    for number, before in enumerate(data, start=1):
        found = state.read(folder.at(later).background.member(number), settings.space, later).data
        np.testing.assert_array_equal(found, expected.state(before).astype(np.float32))
        assert np.abs(found - before).max() > 1.0


def test_a_model_with_a_state_of_its_own_takes_the_filter_up_as_it_does_an_analysis(speedy):
    filtering = filtered(speedy, config.SpectralFilter(truncation=10))
    assert filtering.keeps_restart
    batch = speedy.cold_start(builders.TIME)
    plain = speedy.step(batch)
    sigma = harmonics.response(10, 16, 2.0)
    data = Filter.of(speedy.space, sigma).state(plain.data[0]).astype(np.float32)[None]
    assert np.abs(data - plain.data).max() > 0.1
    first = filtering.step(batch)
    np.testing.assert_array_equal(first.data, data)
    analysed = speedy.step(Batch(plain.time, data, plain.restart))
    second = filtering.step(first)
    for name, array in analysed.restart[0].items():
        np.testing.assert_array_equal(second.restart[0][name], array, err_msg=name)
    assert any((second.restart[0][name] != array).any() for name, array in speedy.step(plain).restart[0].items())


def test_filtering_the_change_leaves_a_model_that_changes_nothing_as_it_is(persistence, tmp_path):
    model = model_of(with_filter(persistence, tmp_path, 'truncation = 5, of = "change"'))
    data = builders.random_state(model.space).data[None]
    np.testing.assert_array_equal(model.step(Batch(builders.TIME, data, (None,))).data, data)
