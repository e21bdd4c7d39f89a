"""Relative humidity among a network's inputs: against another code, through the network, and in the ready cards."""

import msgspec
import numpy as np
import pytest
import torch

from contracts.config import StateSettings
from networks.climax import convert, stepping
from networks.climax.emulator import ClimaXEmulator
from networks.climax.humidity import relative_humidity, saturation
from networks.normalization import CONSTANTS, Moments
from tests import builders
from tests.networks import climax_builders as made

SPACE = made.StateSpace.of(builders.space().grid, (50_000.0, 85_000.0),
                           ("geopotential", "temperature", "specific_humidity"), ("2m_temperature",))
NAMES = [channel.name for channel in SPACE.channels]
# K, kg kg-1, Pa, and per cent as earthkit-meteo 1.2.1 has it (thermo.relative_humidity_from_specific_humidity).
EARTHKIT = [
    (190.0, 2e-6, 5e3, 49.85350819766966), (220.0, 5e-5, 25e3, 75.80909351973992),
    (245.0, 3e-4, 50e3, 52.51868291542507), (250.16, 4e-4, 50e3, 41.718500570910166),
    (255.0, 6e-4, 60e3, 46.679380419665485), (262.0, 1e-3, 70e3, 46.60768839921239),
    (270.0, 2e-3, 85e3, 56.80315602335756), (273.16, 3e-3, 92.5e3, 72.86253729768606),
    (280.0, 5e-3, 92.5e3, 74.82118719885364), (300.0, 1.5e-2, 100e3, 67.67147410154816),
]


def with_humidity(**changes):
    """A small card that is given relative humidity at both levels, between other inputs."""
    card, inputs = made.card(SPACE), ("relative_humidity_850", *NAMES, "relative_humidity_500", *CONSTANTS)
    network = msgspec.structs.replace(card.network, tokens=(*card.network.tokens, *inputs[:1], inputs[-4]))
    moments = card.normalization | {f"relative_humidity_{level}": Moments(mean=50.0, std=30.0) for level in (500, 850)}
    return msgspec.structs.replace(card, **{"network": network, "inputs": inputs, "normalization": moments} | changes)


@pytest.mark.parametrize(("temperature", "specific", "pressure", "expected"), EARTHKIT)
def test_it_is_what_another_code_has(temperature, specific, pressure, expected):
    found = relative_humidity(torch.tensor(temperature).double(), torch.tensor(specific).double(), pressure)
    assert float(found) == pytest.approx(expected, rel=3e-6)  # the molar masses differ in their sixth digit


def test_saturation_goes_over_from_ice_to_water_without_a_step():
    """Continuous at both ends of the mixed phase, and with one slope above 0 °C and none too steep below -23 °C."""
    for where in (250.16, 273.16):
        below, at, above = saturation(torch.tensor([where - 1e-6, where, where + 1e-6], dtype=torch.float64))
        assert abs(below - at) < 1e-4 * at and abs(above - at) < 1e-4 * at
    assert float(saturation(torch.tensor(273.16))) == pytest.approx(611.21)


def test_a_network_is_given_relative_humidity_where_its_card_names_it():
    card = with_humidity()
    steps = stepping.Stepping(card, made.checkpoint(card).constant_inputs, NAMES)
    fields = torch.from_numpy(builders.random_state(SPACE).data)[None]
    t, q = NAMES.index("temperature_850"), NAMES.index("specific_humidity_850")
    inputs = steps.inputs(fields)
    expected = (relative_humidity(fields[:, t], fields[:, q], 85_000.0) - 50.0) / 30.0
    torch.testing.assert_close(inputs[:, 0], expected)
    number, scaled = card.inputs.index("temperature_500"), (fields - steps.mean) / steps.std
    torch.testing.assert_close(inputs[:, number], scaled[:, NAMES.index("temperature_500")])


def test_a_step_and_its_gradient_know_it():
    """The next state depends on specific humidity through relative humidity alone where no token is given it."""
    card = with_humidity()
    dry = msgspec.structs.replace(card, inputs=tuple(name for name in card.inputs if "specific" not in name))
    emulator = ClimaXEmulator.of(made.checkpoint(dry), NAMES).settled().double()
    fields = torch.from_numpy(builders.random_state(SPACE).data)[None].double().requires_grad_()
    (after,) = emulator.advance((fields,), 0)
    temperature = after[:, NAMES.index("temperature_850")].sum()
    (gradient,) = torch.autograd.grad(temperature, fields)
    assert gradient[:, NAMES.index("specific_humidity_850")].abs().min() > 0


@pytest.mark.parametrize("missing", ["temperature_850", "specific_humidity_500"])
def test_a_state_without_what_it_follows_from_is_refused(missing):
    card = with_humidity()
    with pytest.raises(ValueError, match=f"needs {missing} among the channels"):
        ClimaXEmulator.of(made.checkpoint(card), [name for name in NAMES if name != missing])


@pytest.mark.parametrize(("change", "said"), [
    ({"outputs": (*NAMES, "relative_humidity_500")}, "outputs relative_humidity_500 follow from other channels"),
    ({"normalization": made.card(SPACE).normalization}, "lacks mean and std of relative_humidity_850"),
])
def test_a_card_that_has_it_wrongly_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        with_humidity(**change)


def moments(folder, names):
    """`names` in files of moments as the public code writes them."""
    upstream = {"latitude": "lattitude"}
    for what in ("mean", "std"):
        np.savez(folder / f"normalize_{what}.npz", **{upstream.get(name, name): np.array([2.0]) for name in names})
    return folder


@pytest.mark.parametrize(("name", "parameters", "inputs", "warned"), [
    ("official_5.625deg", 108_088_512, 38, True),  # the documented number of parameters
    # The official files differ by 11 012 352 bytes, float32.
    ("official_1.40625deg", 108_088_512 + 11_012_352 // 4, 38, True),
    ("finetuned_5.625deg", 108_088_512, 48, False),
])
def test_ready_cards_are_of_the_files_that_they_are_for(name, parameters, inputs, warned, tmp_path):
    from networks.climax.stepping import shapes

    tokens = msgspec.toml.decode((convert.CARDS / f"{name}.toml").read_text())["network"]["tokens"]
    card = convert.draft(convert.Path(name), moments(tmp_path, tokens))
    found = shapes(card, "serial")
    assert (len(tokens), len(card.inputs), len(found)) == (48, inputs, 209)
    assert sum(int(np.prod(shape)) for shape in found.values()) == parameters
    assert ("fine-tune it before cycling" in card.warning) == warned
    channels = [channel.name for channel in StateSettings(at_surface=("2m_temperature", "10m_u_component_of_wind",
                                                                      "10m_v_component_of_wind")).channels()]
    still = {each: np.zeros(card.horizontal.shape, np.float32) for each in CONSTANTS}
    stepping.Stepping(card, still, channels)  # refuses what cannot be stepped in the default state
