"""The table of estimated errors: there and back, and whom it speaks of."""

from datetime import UTC, datetime

import numpy as np
import pytest

from contracts import estimated_errors
from contracts.errors import UserError
from contracts.estimated_errors import Bias, Estimate, EstimatedErrors
from contracts.variables import Quantity
from tests import builders

ALOFT = Estimate(quantity="temperature", type=120, factor=0.5, estimated=1.0, given=2.0, count=200, lower_hpa=850,
                 upper_hpa=700)
GROUND = Estimate(quantity="surface_pressure", type=181, factor=2.0, estimated=200.0, given=100.0, count=1000)
TABLE = EstimatedErrors(experiment="a", first=datetime(1989, 1, 1, 6, tzinfo=UTC), otherwise="global",
                        last=datetime(1989, 1, 1, 18, tzinfo=UTC), estimate=(ALOFT, GROUND),
                        bias=(Bias(type=131, bias=0.5, count=500), Bias(type=131, station="A", bias=-0.25, count=60)))


def test_what_was_written_is_read(tmp_path):
    estimated_errors.write(tmp_path / "estimated.toml", TABLE)
    assert estimated_errors.read(tmp_path / "estimated.toml") == TABLE


def test_a_factor_is_that_of_quantity_type_and_layer():
    quantity = [Quantity.temperature] * 5 + [Quantity.surface_pressure, Quantity.temperature_2m]
    table = builders.observations(np.zeros(7), quantity=np.array(quantity), type=np.array([120] * 4 + [130, 181, 120]),
                                  pressure=np.array([85_000.0, 70_000, 86_000, 80_000, 80_000, 90_000, 80_000]))
    assert TABLE.factors(table).tolist() == [0.5, 1, 1, 0.5, 1, 2, 1]


def test_a_bias_is_that_of_the_aircraft_else_of_its_type_and_of_nothing_else():
    table = builders.observations(np.zeros(5), type=np.array([131, 131, 130, 120, 131]),
                                  station=np.array([b"A", b"B", b"A", b"A", b"A"]),
                                  quantity=np.array([Quantity.temperature] * 4 + [Quantity.u_component_of_wind]))
    assert TABLE.biases(table).tolist() == [-0.25, 0.5, 0, 0, 0]


@pytest.mark.parametrize(("text", "sentence"), [
    ("", "missing required field"), ("[", "is not valid TOML"),
    ('contract = "estimated-errors/2"', "estimated-errors"),
])
def test_what_is_no_such_table_is_told(tmp_path, text, sentence):
    path = tmp_path / "e.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=f"e.toml: is no table of estimated errors .*{sentence}|{sentence}"):
        estimated_errors.read(path)
    with pytest.raises(UserError, match="none.toml: no such table .*verify consistency"):
        estimated_errors.read(tmp_path / "none.toml")


@pytest.mark.parametrize("wrong", [{"quantity": "colour"}, {"upper_hpa": None}])
def test_an_estimate_of_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match="unknown quantity|expected both"):
        Estimate(**{name: getattr(ALOFT, name) for name in ALOFT.__struct_fields__} | wrong)
