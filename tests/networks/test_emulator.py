"""One step later: the same for training, skill and forecasts, differentiable, and nothing told to it is ignored."""

from datetime import timedelta

import numpy as np
import pytest
import torch

from networks.climax import stepping
from networks.climax.emulator import ClimaXEmulator
from networks.climax.network import ClimaX
from networks.emulator import Emulator
from networks.passes import Passes
from tests import builders
from tests.networks import climax_builders as made

SPACE = made.small_space()
NAMES = [channel.name for channel in SPACE.channels]
SEVERAL = [made.card(SPACE), made.card(SPACE, "field", "descending")]
IDS = ["tendency", "field"]


def states(count: int = 3) -> torch.Tensor:
    return torch.from_numpy(np.stack([builders.random_state(SPACE, seed=number).data for number in range(count)]))


def emulator(card=SEVERAL[0]) -> ClimaXEmulator:
    return ClimaXEmulator.of(made.checkpoint(card), NAMES)


@pytest.mark.parametrize("card", SEVERAL, ids=IDS)
def test_several_steps_are_one_after_another(card):
    one, fields = emulator(card), states()
    by_hand = one.advance(one.advance((fields,), 0), 6 * 3600)
    assert torch.equal(one.advance((fields,), 0, steps=2)[0], by_hand[0])


@pytest.mark.parametrize("card", SEVERAL, ids=IDS)
def test_weights_that_stay_give_what_weights_in_training_give(card):
    fields = states()
    plain, settled = emulator(card).advance((fields,), 0)[0], emulator(card).settled().advance((fields,), 0)[0]
    scale = fields.std(dim=(0, 2, 3), keepdim=True)
    assert ((plain - settled).abs() / scale).max() < 1e-5
    assert not torch.equal(plain, fields)


def test_forecasts_in_passes_are_steps_of_the_emulator():
    """The law that keeps training, skill and forecasts together, to the last bit."""
    fields, settled = states(), emulator().settled()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    expected = torch.cat([settled.advance((one[None],), 0)[0] for one in fields])
    torch.set_num_threads(threads)
    found = Passes.of([emulator().settled()]).step(fields.numpy(), 0)
    np.testing.assert_array_equal(found, expected.numpy())


@pytest.mark.parametrize("card", SEVERAL, ids=IDS)
def test_the_gradient_with_respect_to_the_state_is_exact(card):
    """Taylor: the remainder of a small change of the state falls with its square, in double precision."""
    one, fields = emulator(card).settled().double(), states(1).double()
    scale = fields.std(dim=(0, 2, 3), keepdim=True)

    def cost(state: torch.Tensor) -> torch.Tensor:
        return ((one.advance((state,), 0, steps=2)[0] - one.stepping.mean) / scale).square().mean()

    state = fields.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(cost(state), state)
    way = scale * torch.randn(fields.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    linear = float((gradient * way).sum())
    remainders = [abs(float(cost(fields + h * way) - cost(fields)) - h * linear) for h in (1e-2, 1e-3, 1e-4)]
    assert remainders[1] < 0.015 * remainders[0] and remainders[2] < 0.015 * remainders[1]
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in one.parameters())


def test_weights_in_training_have_gradients():
    """Through the collapsed path and through both steps."""
    network = ClimaX(stepping.architecture(SEVERAL[0]))
    made.randomise(network)
    one = ClimaXEmulator(network, emulator().stepping)
    one.advance((states(),), 0, steps=2)[0].square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


class Oscillator(Emulator):
    """x(t + 1) = 2 x(t) - x(t - 1) + draw - share x(t): two times, noise, and one parameter."""

    channels, step, history, stochastic, parameter_names = ("x",), timedelta(hours=1), 2, True, ("share",)

    def next(self, state, time, draw, parameters):
        before, now = state
        return 2 * now - before + draw - parameters[:, :, None, None] * now


def test_a_network_may_need_two_times_draws_and_parameters():
    x = torch.ones(1, 1, 1, 1)
    draws, share = torch.tensor([0.0, 1.0])[:, None, None, None, None], torch.tensor([[0.5]])
    first, second = Oscillator().advance((x, 2 * x), 0, 2, draws, share)
    assert float(first) == 2.0 and float(second) == 2 * 2 - 2 + 1 - 1


@pytest.mark.parametrize(("one", "arguments", "said"), [
    (emulator(), {"draws": torch.zeros(1)}, "expected no draws, it takes none, got 1"),
    (emulator(), {"parameters": torch.zeros(3, 1)}, "expected no parameters, it takes none, got some"),
    (Oscillator(), {}, "expected a state of 2 times, got 1"),
])
def test_what_a_network_does_not_use_or_lacks_is_refused(one, arguments, said):
    with pytest.raises(ValueError, match=said):
        one.advance((states(),), 0, **arguments)


def test_draws_for_every_step_and_parameters_are_needed_where_they_are_used():
    x = torch.ones(1, 1, 1, 1)
    with pytest.raises(ValueError, match="expected draws for 2 steps, got 1"):
        Oscillator().advance((x, x), 0, 2, torch.zeros(1, 1, 1, 1, 1), torch.zeros(1, 1))
    with pytest.raises(ValueError, match="expected share, got none"):
        Oscillator().advance((x, x), 0, 1, torch.zeros(1, 1, 1, 1, 1))
