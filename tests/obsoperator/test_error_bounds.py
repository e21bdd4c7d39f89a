"""Observation errors have bounds: wide enough for every real one, and no wider setting is accepted by mistake."""

import numpy as np
import pytest

from contracts import config
from contracts.config import Section
from contracts.errors import UserError
from contracts.variables import Quantity
from obsoperator.departures import BackgroundCheck
from obsoperator.error_bounds import BOUNDS, within
from obsproc import errors


class Settings(Section, frozen=True):
    background_check: BackgroundCheck = BackgroundCheck()


def check(text: str) -> BackgroundCheck:
    return config.decode(f"[background_check]\n{text}", Settings, "experiment.toml").background_check


def test_every_quantity_has_bounds():
    assert set(BOUNDS) == set(Quantity) and all(0 < least < most for least, most in BOUNDS.values())


@pytest.mark.parametrize("quantity", Quantity)
def test_bounds_include_their_ends_in_the_precision_of_the_table(quantity):
    least, most = np.float32(BOUNDS[quantity])
    error = np.array([np.nextafter(least, np.float32(0)), least, most, np.nextafter(most, np.float32(np.inf)), 1e-12,
                      np.inf, np.nan, 0.0, -least], np.float32)
    assert within(np.full(9, quantity), error, {}).tolist() == [False, True, True] + [False] * 6


@pytest.mark.parametrize(("column", "quantity"), [("temperature", Quantity.temperature),
                                                  ("wind", Quantity.u_component_of_wind),
                                                  ("surface_pressure", Quantity.surface_pressure)])
def test_every_error_of_nceps_table_lies_within(column, quantity):
    known = errors.cdas().error[column]
    known = known[np.isfinite(known)].astype(np.float32)
    assert known.size > 50 and within(np.full(known.size, quantity), known, {}).all()
    assert BOUNDS[quantity][1] >= 5 * known.max()


def test_a_setting_replaces_the_bounds_of_its_quantity_alone():
    chosen = check("error_bounds.temperature = [0.5, 2.0]").error_bounds
    quantity = np.array([Quantity.temperature, Quantity.temperature, Quantity.temperature_2m])
    assert within(quantity, np.array([0.4, 0.5, 0.4], np.float32), chosen).tolist() == [False, True, True]


@pytest.mark.parametrize(("text", "words"), [
    ("error_bounds.temprature = [0.5, 2.0]", "unknown quantity 'temprature'; known: u_component_of_wind"),
    ("error_bounds.temperature = [2.0, 0.5]", "expected 0 < least < most for temperature"),
    ("error_bounds.temperature = [0.0, 0.5]", "expected 0 < least < most for temperature"),
    ("error_bounds.temperature = 0.5", "background_check"),
])
def test_other_bounds_are_refused(text, words):
    with pytest.raises(UserError, match=words):
        check(text)
