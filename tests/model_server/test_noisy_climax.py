"""ClimaX with noise as a forecast model: members of one state part, each by its own numbers, and remember them."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import torch

from contracts.errors import UserError
from model_server import ensemble
from model_server.config import Settings
from model_server.models import climax
from model_server.models.base import MODEL_STREAM, Batch, advance, identity_of
from model_server.models.stepped import Stepped
from networks.climax.sizes import NoiseSizes
from tests import builders
from tests.networks import climax_builders as made

CPU, SPACE = torch.device("cpu"), made.small_space()
CARD, PLAIN = made.card(SPACE, noise=NoiseSizes(local=2, common=1, blocks=1)), made.card(SPACE)


def model(card=CARD, **options) -> Stepped:
    checkpoint = made.checkpoint(CARD)
    if card is PLAIN:
        kept = {name: array for name, array in checkpoint.weights.items() if not name.startswith("conditions.")}
        checkpoint = replace(checkpoint, card=card, weights=kept)
    return climax.model_of(checkpoint, SPACE, [CPU], "weights", climax.Options(checkpoint="", **options))


def batch(*members: int) -> Batch:
    """Members of one state."""
    state = builders.random_state(SPACE).data
    return Batch(builders.TIME, np.stack([state] * len(members)), (None,) * len(members), members, seed=7)


def after(a_model: Stepped, begun: Batch, steps: int) -> Batch:
    for _ in range(steps):
        begun = advance(a_model, begun)
    return begun


def test_members_of_one_state_part_and_each_has_its_bits_whatever_it_is_batched_with():
    together = after(model(), batch(1, 2, 3), 3)
    assert not np.array_equal(together.data[0], together.data[1])
    for members in ([1], [2], [3], [3, 1]):
        alone = after(model(at_once=1), batch(*members), 3)
        for row, number in enumerate(members):
            np.testing.assert_array_equal(alone.data[row], together.data[number - 1])


def test_from_its_restart_a_member_goes_on_with_the_same_bits(tmp_path, experiment):
    """Through the files of the cycle."""
    settings: Settings = experiment("""
[grid]
nlat = 8
nlon = 16
[state]
levels_hpa = [500, 850]
on_levels = ["geopotential", "temperature"]
at_surface = ["2m_temperature"]
""")
    whole = after(model(), batch(1, 2), 2)
    half = replace(after(model(), batch(1, 2), 1), seed=settings.experiment.seed)
    background = settings.experiment.folder.at(half.time).background
    ensemble.write(background, half, model(), settings.experiment)
    found = ensemble.read(settings, model(), background, (1, 2), half.time)
    np.testing.assert_array_equal(found.restart[1]["noise"], half.restart[1]["noise"])
    np.testing.assert_array_equal(after(model(), replace(found, seed=7), 1).data, whole.data)
    forgotten = replace(found, seed=7, restart=({}, {}))
    assert not np.array_equal(after(model(), forgotten, 1).data, whole.data)


def test_what_is_remembered_is_the_autoregression_of_the_members_own_numbers():
    begun, noise = batch(4), model().noise
    first, second = (after(model(), begun, steps).restart[0]["noise"] for steps in (1, 2))
    fresh = [noise.drawn(replace(begun, time=begun.time + lead).generators(MODEL_STREAM)[0])
             for lead in (timedelta(0), timedelta(hours=6))]
    np.testing.assert_array_equal(first, fresh[0])
    np.testing.assert_allclose(second, 0.8 * fresh[0] + 0.6 * fresh[1], atol=1e-6)
    assert second.dtype == np.float32


def test_without_noise_it_is_the_plain_network_bit_for_bit():
    found = after(model(noise_factor=0.0), batch(1, 2), 2).data
    np.testing.assert_array_equal(found, after(model(PLAIN), batch(1, 2), 2).data)
    assert not model(PLAIN).keeps_restart


def test_a_factor_is_part_of_what_steps_follow_from_and_says_nothing_to_a_plain_network():
    assert identity_of(model(noise_factor=0.5), {}) != identity_of(model(), {})
    assert "noise_factor" not in identity_of(model(PLAIN), {})
    with pytest.raises(UserError, match="noise_factor says nothing to weights, a network without noise"):
        model(PLAIN, noise_factor=0.5)
