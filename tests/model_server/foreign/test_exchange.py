"""Models of other packages: names, order of points, what they have of their own, and what is refused, without them."""

from dataclasses import replace
from datetime import timedelta

import netCDF4
import numpy as np
import pytest

from contracts import times
from contracts.errors import UserError
from contracts.grid import Grid
from model_server.models.base import Batch, advance, begun
from model_server.models.foreign import beginning, exchange
from model_server.models.foreign.exchange import Exchange
from model_server.models.foreign.lexicon import ANEMOI, EARTH2STUDIO
from model_server.models.foreign.stepped import Foreign
from tests import builders

SPACE = builders.space(4, 8, (50_000.0, 85_000.0))
CHANNELS = [channel.name for channel in SPACE.channels]
BOTH = pytest.mark.parametrize("lexicon", [EARTH2STUDIO, ANEMOI], ids=lambda one: one.package)


def from_north(grid: Grid = SPACE.grid) -> tuple[np.ndarray, np.ndarray]:
    """Points of the grid, the northern row first, from 180 degrees west on."""
    return exchange.points(grid.lat[::-1], np.sort((grid.lon + 180.0) % 360.0 - 180.0))


def made(reads, gives=None, space=SPACE, lexicon=EARTH2STUDIO) -> Exchange:
    order = exchange.order(*from_north(), space.grid, "it")
    return Exchange(space, lexicon, tuple(reads), tuple(gives or reads), order)


def names(space=SPACE, lexicon=EARTH2STUDIO) -> list[str]:
    return [lexicon.name(channel.name) for channel in space.channels]


def data(seed: int = 1) -> np.ndarray:
    return builders.random_state(SPACE, seed).data


# Names.

@BOTH
def test_every_usual_channel_has_a_name_that_means_it_and_no_other(lexicon):
    assert [lexicon.channel(lexicon.name(channel)) for channel in CHANNELS] == CHANNELS
    assert len({lexicon.name(channel) for channel in CHANNELS}) == len(CHANNELS)


def test_names_are_those_of_the_packages():
    assert [EARTH2STUDIO.channel(name) for name in ("z500", "u100", "u100m", "u10m", "t2m", "sp", "r850")] == [
        "geopotential_500", "u_component_of_wind_100", "100m_u_component_of_wind", "10m_u_component_of_wind",
        "2m_temperature", "surface_pressure", "relative_humidity_850"]
    assert [ANEMOI.channel(name) for name in ("z_500", "100u", "10u", "2t", "sp", "w_850")] == [
        "geopotential_500", "100m_u_component_of_wind", "10m_u_component_of_wind", "2m_temperature", "surface_pressure",
        "vertical_velocity_850"]
    # what is none of ours: orography, masks, precipitation, another package's spelling
    assert {lexicon.channel(name) for lexicon in (ANEMOI, EARTH2STUDIO)
            for name in ("z", "lsm", "tp", "sst", "x500", "t", "500")} == {""}
    assert ANEMOI.channel("z500") == EARTH2STUDIO.channel("z_500") == ""


# Between channels and fields.

@BOTH
def test_into_and_out_again_is_the_identity_for_any_order_of_names_and_points(lexicon):
    shuffled = np.random.default_rng(1).permutation(names(lexicon=lexicon)).tolist()
    one, state, none = made(shuffled, lexicon=lexicon), data(), np.empty((0, SPACE.grid.size), np.float32)
    fields = one.into(state, none)
    found, own = one.out_of(fields, none)
    np.testing.assert_array_equal(found, state)
    assert own.shape == none.shape and one.own == ()
    north_west = state[CHANNELS.index("temperature_850"), -1, 4]  # the first point: northern row, 180 degrees
    assert fields[shuffled.index(lexicon.name("temperature_850")), 0] == north_west


def test_relative_humidity_is_made_of_specific_and_back():
    reads = [name.replace("q", "r") for name in names()]
    one, none = made(reads), np.empty((0, SPACE.grid.size), np.float32)
    state = data()
    fields = one.into(state, none)
    found, _ = one.out_of(fields, none)
    assert 5.0 < np.median(fields[reads.index("r850")]) < 300.0  # per cent
    np.testing.assert_allclose(found, state, rtol=2e-6)
    humid = [CHANNELS.index("specific_humidity_500"), CHANNELS.index("specific_humidity_850")]
    assert (np.delete(found, humid, 0) == np.delete(state, humid, 0)).all()


def test_what_no_channel_says_is_the_models_own_and_goes_on_as_it_gives_it():
    one = made([*names(), "tp06", "lsm"], [*names(), "tp06"])
    own = np.arange(2 * SPACE.grid.size, dtype=np.float32).reshape(2, -1)
    fields = one.into(data(), own)
    assert one.own == ("tp06", "lsm")
    np.testing.assert_array_equal(fields[-2:], own)
    _, later = one.out_of(fields[:-1] + 1.0, own)
    np.testing.assert_array_equal(later[0], own[0] + 1.0)  # given
    np.testing.assert_array_equal(later[1], own[1])  # as it was


def test_a_channel_that_the_model_does_not_give_is_refused():
    with pytest.raises(UserError, match=r"gives no temperature_850, which \[state\] has; it gives 10m_u.*take out of"):
        made([name for name in names() if name != "t850"])
    # relative humidity without the temperature of its level does not say the specific one
    with pytest.raises(UserError, match="gives no temperature_850, specific_humidity_850, which"):
        made(names(), [name.replace("q850", "r850") for name in names() if name != "t850"])


@pytest.mark.parametrize(("lat", "lon", "told"), [
    (SPACE.grid.lat[1:], SPACE.grid.lon, "24 points, 3 of -22.5 to 67.5 in latitude"),
    (SPACE.grid.lat + 0.5, SPACE.grid.lon, "4 of -67 to 68"),
    (SPACE.grid.lat, SPACE.grid.lon + 1.0, "8 of 1 to 316 in longitude"),
    (np.repeat(SPACE.grid.lat[:2], 2), SPACE.grid.lon, "2 of -67.5 to -22.5"),
])
def test_another_grid_is_refused(lat, lon, told):
    with pytest.raises(UserError, match=f"it has .*{told}.* and \\[grid\\] is the 4 x 8 grid.*set \\[grid\\]"):
        exchange.order(*exchange.points(lat, lon), SPACE.grid, "it")


def test_axes_in_single_precision_and_meridians_by_other_names_are_the_same():
    lat, lon = (axis.astype(np.float32) for axis in from_north())
    once = exchange.order(lat, lon, SPACE.grid, "it")
    np.testing.assert_array_equal(exchange.order(lat, lon - np.float32(1e-5), SPACE.grid, "it"), once)
    np.testing.assert_array_equal(exchange.order(lat, lon + 360.0, SPACE.grid, "it"), once)


# What a model has of its own at first.

def own_file(path, north_first: bool = True, **fields):
    lat = SPACE.grid.lat[::-1] if north_first else SPACE.grid.lat
    with netCDF4.Dataset(path, "w") as dataset:
        for name, axis in (("latitude", lat), ("longitude", SPACE.grid.lon)):
            dataset.createDimension(name, axis.size)
            dataset.createVariable(name, "f8", (name,))[:] = axis
        dataset.createDimension("time", 1)
        for name, values in fields.items():
            dataset.createVariable(name, "f4", ("time", "latitude", "longitude"))[0] = (
                values[::-1] if north_first else values)
    return path


@pytest.mark.parametrize("north_first", [True, False])
def test_own_fields_begin_where_the_file_has_them(tmp_path, north_first):
    mask = np.arange(SPACE.grid.size, dtype=np.float32).reshape(SPACE.grid.shape)
    path = own_file(tmp_path / "own.nc", north_first, lsm=mask)
    one = made([*names(), "lsm"], names())
    found = beginning.beside(one, str(path))
    np.testing.assert_array_equal(found, mask.reshape(1, -1)[:, one.order])
    assert beginning.beside(made(names()), "").shape == (0, SPACE.grid.size)


def test_own_fields_that_are_nowhere_are_refused(tmp_path):
    one = made([*names(), "lsm", "msl"], names())
    with pytest.raises(UserError, match=r"reads lsm, msl \(of these \[state\] could hold mean_sea_level_pressure\) "
                                        r"beside.*begin a NetCDF file"):
        beginning.beside(one, "")
    with pytest.raises(UserError, match=r"nowhere\.nc is no file"):
        beginning.beside(one, str(tmp_path / "nowhere.nc"))
    with pytest.raises(UserError, match=r"own\.nc: has no msl; it has latitude"):
        beginning.beside(one, str(own_file(tmp_path / "own.nc", lsm=np.zeros(SPACE.grid.shape))))
    with pytest.raises(UserError, match=r"gaps\.nc: lsm has missing values"):
        beginning.beside(one, str(own_file(tmp_path / "gaps.nc", lsm=np.full(SPACE.grid.shape, np.nan), msl=mask())))
    (tmp_path / "text.nc").write_text("no file of NetCDF")
    with pytest.raises(UserError, match="is no NetCDF file"):
        beginning.beside(one, str(tmp_path / "text.nc"))


def mask() -> np.ndarray:
    return np.zeros(SPACE.grid.shape)


# Steps.

def drift(fields: np.ndarray, time, seed: int) -> np.ndarray:
    """The last state twice less the one before, and for its own field the seed and the hour."""
    later = 2 * fields[-1] - fields[0]
    later[-1] = seed % 1000 + time.hour
    return later.astype(np.float32)


def model(history: int = 2) -> Foreign:
    one = made([*names(), "mark"])
    return Foreign("drift", one, drift, timedelta(hours=6), history, np.zeros((1, SPACE.grid.size), np.float32))


def batch(members=(1, 2, 3)) -> Batch:
    return begun(model(), Batch(builders.TIME, np.stack([data(number) for number in members]), (None,) * len(members)),
                 members, seed=7)


def test_a_step_is_made_of_two_states_and_does_not_depend_on_the_batch():
    first = advance(model(), batch())
    np.testing.assert_array_equal(first.data, batch().data)  # begun with the same state twice
    moved = replace(first, data=first.data + np.float32(1.0))
    second = advance(model(), moved)
    np.testing.assert_allclose(second.data, 2 * moved.data - batch().data, rtol=1e-6)
    alone = advance(model(), Batch(moved.time, moved.data[1:2], moved.restart[1:2], (2,), 7, moved.before[1:2]))
    np.testing.assert_array_equal(alone.data, second.data[1:2])
    np.testing.assert_array_equal(alone.restart[0]["own"], second.restart[1]["own"])


def test_own_fields_are_kept_with_the_member_in_as_many_states_as_the_model_reads():
    first = advance(model(), batch())
    second = advance(model(), first)
    kept = [one["own"] for one in second.restart]
    assert [each.shape for each in kept] == [(2, 1, SPACE.grid.size)] * 3
    for earlier, now in zip(first.restart, kept, strict=True):
        np.testing.assert_array_equal(now[0], earlier["own"][1])
    drawn = [now[1, 0, 0] - times.from_seconds(times.to_seconds(first.time)).hour for now in kept]
    assert len(set(drawn)) == 3  # a seed for each member
