"""Model error with memory: the archive by its definition, segments one after the other, and the laws of any noise."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from contracts import humidity, paths, state, static, times
from contracts.config import GridSettings, StateSettings
from contracts.errors import UserError
from contracts.nature import NatureFolder
from contracts.state import State
from model_server import config, ensemble
from model_server.forecast import model_of
from model_server.models import archive, around, segments
from model_server.models.base import MODEL_STREAM, NOISE_STREAM, Batch, advance
from model_server.models.persistence import Persistence
from model_server.residuals import memory, residuals
from networks.data.shards import Series, ShardFolder
from tests import builders
from tests.model_server import cycling
from tests.model_server.cycling import MEMBERS, NUMBERS, START, STEP, at, cycle, same

SPACE = StateSettings(levels_hpa=(500, 850)).space(GridSettings(nlat=4, nlon=8).grid())
FIRST, LAST = datetime(1985, 12, 24, tzinfo=UTC), datetime(1986, 1, 8, tzinfo=UTC)
LENGTH, BLEND, DAYS = 4, 2, 3
NOISE = """
[model.noise]
method = "residuals"
archive = "{work}/{archive}"
nature = "{work}/nature"
first = 1985-12-24T00:00:00Z
last = 1986-01-08T00:00:00Z
segment_steps = 4
blend_steps = 2
season_days = 3
factor = {factor}
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with a nature run of fifteen days: a climate and a little noise that knows nothing of its past."""
    work = tmp_path_factory.mktemp("noise")
    nature, climate = NatureFolder(work / "nature"), builders.random_state(SPACE).data
    with paths.side_by_side() as disk:
        for seed, time in enumerate(times.every(FIRST, LAST, STEP)):
            data = climate + np.float32(0.02) * (builders.random_state(SPACE, seed).data - climate)
            state.write(nature.state(time), State(SPACE, data, time), disk=disk)
    static.write(nature.static, builders.flat_static(SPACE.grid))
    return work


@pytest.fixture
def noisy(tmp_path, monkeypatch, installed, work):
    """noisy(model, name, batch, factor, more): an experiment with noise from an archive of its own model."""
    monkeypatch.setenv("WORK", str(tmp_path))
    monkeypatch.syspath_prepend(installed)

    def make(model: str = "persistence", name: str = "e", batch: int = MEMBERS, factor: float = 1.0, more: str = ""):
        more = NOISE.format(work=work, archive=model, factor=factor) + more
        settings = cycling.write(tmp_path, model, name, batch, more=more)
        residuals(settings)
        return cycling.first_ensemble(settings)

    return make


def truth(work, time):
    return state.read(NatureFolder(work / "nature").state(time), SPACE, time).data


@pytest.mark.parametrize("model", ["persistence", "inertia"])
def test_the_archive_holds_what_the_model_missed_at_each_step(noisy, work, model):
    noisy(model)
    series = Series(ShardFolder(work / model), SPACE, 0)
    begin = [times.from_seconds(int(second)) for second in series.seconds]
    assert begin == list(times.every(FIRST + (STEP if model == "inertia" else 0 * STEP), LAST - STEP, STEP))
    expected = np.array([truth(work, time + STEP) - truth(work, time) for time in begin])
    if model == "inertia":
        expected -= np.array([truth(work, time) - truth(work, time - STEP) for time in begin]) / 2
    largest = np.abs(expected - expected.mean(axis=0)).max(axis=(0, 2, 3))
    wrong = np.abs(series.fields(range(len(begin))) - expected).max(axis=(0, 2, 3))
    assert (wrong < 2**-10 * largest).all()  # float16 anomalies


def errors_of_a_long_run(settings, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The noise (step, member, channel, lat, lon) of persistence and where each member stood, (step, member, 3)."""
    model = model_of(settings)
    batch = ensemble.read(settings, model, at(settings, START).background, NUMBERS, START)
    fields, places = [], []
    for _ in range(steps):
        later = advance(model, replace(batch, data=np.zeros_like(batch.data)))
        fields.append(later.data)
        places.append([kept[segments.WHERE] for kept in later.restart])
        batch = later
    return np.array(fields), np.array(places)


def test_noise_is_consecutive_residuals_that_fade_into_others_of_the_season_and_hour(noisy, work):
    settings = noisy()
    series = Series(ShardFolder(work / "persistence"), SPACE, 0)
    row = {int(second): number for number, second in enumerate(series.seconds)}

    def r(begin, step):
        return series.fields([row[int(begin) + step * int(STEP.total_seconds())]])[0]

    fields, places = errors_of_a_long_run(settings, 3 * LENGTH)
    humid = [channel.variable == "specific_humidity" for channel in SPACE.channels]
    for member in range(MEMBERS):
        for found, (last, present, done) in zip(fields[:, member], places[:, member], strict=True):
            step = int(done) - 1
            expected = r(present, step)
            if step < BLEND:
                theta = np.pi / 2 * (step + 1) / (BLEND + 1)
                expected = np.cos(theta) * r(last, LENGTH + step) + np.sin(theta) * expected
            expected[humid] = np.maximum(expected[humid], 0)  # from fields of zero
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    assert places[:, :, 2].min() == 1 and places[:, :, 2].max() == LENGTH
    assert (places[0, :, 2] == BLEND + 1).all()  # an experiment begins within segments
    assert {times.from_seconds(int(begun) + BLEND * int(STEP.total_seconds())).hour for begun in places[0, :, 1]} \
        == {START.hour}
    for number, member in zip(*np.nonzero(places[:, :, 2] == 1), strict=True):
        (fading, present, _), when = places[number, member], START + int(number) * STEP
        assert fading == places[number - 1, member, 1]  # the segment that was there
        begun = times.from_seconds(int(present))
        assert begun.hour == when.hour
        assert min(abs(when - begun - years * timedelta(days=365.2425)) for years in (3, 4)) <= timedelta(days=DAYS)
    assert len(np.unique(places[:, :, 1])) > MEMBERS


def errors_of(settings, when, members: int, restart=None) -> np.ndarray:
    """(member, channel, lat, lon) drawn for the step of persistence that begins at `when`."""
    batch = Batch(when, np.zeros((members, *SPACE.shape), np.float32), restart or (None,) * members,
                  tuple(range(1, members + 1)), 1)
    return np.array(model_of(settings).errors.drawn(batch)[0])


def residuals_of_the_season(work, when) -> np.ndarray:
    """(n, channel, lat, lon) within three days of the season of `when`, at its hour."""
    series = Series(ShardFolder(work / "persistence"), SPACE, 0)
    begun = [times.from_seconds(int(second)) for second in series.seconds]
    found = [row for row, time in enumerate(begun) if time.hour == when.hour
             and abs(when - time - 3 * timedelta(days=365.2425)) <= timedelta(days=DAYS)]
    return series.fields(found)


def test_draws_of_the_gaussian_have_the_mean_and_covariance_of_the_season_and_none_of_the_step_before(noisy, work):
    whole = errors_of(noisy(more='errors = "gaussian"'), START, 4000).reshape(4000, -1)
    about = residuals_of_the_season(work, START).reshape(-1, whole.shape[1])
    scale = about.std(axis=0, ddof=1)
    assert np.abs((whole.mean(axis=0) - about.mean(axis=0)) / scale).max() < 5 / np.sqrt(4000)
    correlation = np.cov(whole.T) / np.outer(scale, scale)
    assert np.abs(correlation - np.cov(about.T) / np.outer(scale, scale)).max() < 6 / np.sqrt(4000)
    centred = errors_of(noisy(more='errors = "gaussian"\nseasonal_mean = false'), START, 3)
    np.testing.assert_allclose(centred.reshape(3, -1), whole[:3] - about.mean(axis=0), atol=1e-5 * scale.max())
    later = errors_of(noisy(more='errors = "gaussian"'), START + timedelta(days=1), 4000).reshape(4000, -1)
    assert abs(np.corrcoef(whole[:, 0], later[:, 0])[0, 1]) < 5 / np.sqrt(4000)


def test_the_seasonal_mean_alone_is_the_same_for_all_members_and_what_segments_can_do_without(noisy, work):
    common = errors_of(noisy(more='errors = "seasonal_mean"'), START, 3)
    about = residuals_of_the_season(work, START)
    np.testing.assert_allclose(common, np.broadcast_to(about.mean(axis=0), common.shape), rtol=1e-5)
    whole, without = errors_of(noisy(), START, 3), errors_of(noisy(more="seasonal_mean = false"), START, 3)
    np.testing.assert_allclose(whole - without, common, atol=1e-5 * np.abs(whole).max())


@pytest.mark.parametrize("more", ['errors = "gaussian"', 'errors = "seasonal_mean"', "seasonal_mean = false"])
def test_other_errors_have_the_same_bits_however_members_are_batched(noisy, more):
    expected = cycle(noisy("noisy", "whole", more=more))
    same(cycle(noisy("noisy", "one", 1, more=more), kept=False), expected)


@pytest.mark.parametrize(("more", "kept"), [('errors = "gaussian"', 0), ('errors = "seasonal_mean"', 0), ("", MEMBERS)])
def test_only_errors_that_remember_the_last_step_write_where_they_are(noisy, tmp_path, more, kept):
    """Of a model that keeps nothing itself."""
    cycle(noisy("persistence", "alone", more=more))
    assert len(list((tmp_path / "alone" / "1989010106" / "background").rglob("*.npz"))) == kept


def test_batches_and_retention_change_no_bit_also_of_a_model_with_a_restart_and_noise_of_its_own(noisy):
    expected = cycle(noisy("noisy", "whole"))
    assert {"m0001 z", f"m0001 {segments.WHERE}"} <= expected.keys()
    for name, batch in (("one", 1), ("three", 3)):
        same(cycle(noisy("noisy", name, batch), kept=False), expected, name)


def test_no_noise_is_the_model_itself_to_the_last_bit(noisy, begin):
    quiet = noisy("inertia", "quiet", factor=0.0)
    found, expected = cycle(quiet), cycle(begin("inertia", "bare"))
    same({name: found[name] for name in expected}, expected)
    fields = np.zeros(SPACE.shape, np.float32)
    fields[:, 0], fields[:, 1] = -0.0, -1.0
    unchanged, count = around.with_error(fields, np.zeros_like(fields), humidity.humid(SPACE))
    assert unchanged.tobytes() == fields.tobytes() and count == 0


def test_noise_makes_no_humidity_negative_and_none_that_was_more_so():
    error = np.random.default_rng(1).standard_normal(SPACE.shape, np.float32)
    fields = np.full(SPACE.shape, 0.1, np.float32)
    fields[:, 0] = -0.1
    found, count = around.with_error(fields, error, humidity.humid(SPACE))
    q = SPACE.index("specific_humidity")
    np.testing.assert_array_equal(found[q], np.maximum(fields + error, np.minimum(fields, 0))[q])
    assert count == np.count_nonzero((fields + error < np.minimum(fields, 0))[q]) > 0
    others = [number for number in range(SPACE.shape[0]) if number not in q]
    np.testing.assert_array_equal(found[others], (fields + error)[others])


def test_noise_has_draws_of_its_own():
    batch = Batch(START, np.zeros((2, 1)), (None,) * 2, (1, 2), 1)
    own, other = (np.array([random.standard_normal(1000) for random in batch.generators(stream)])
                  for stream in (MODEL_STREAM, NOISE_STREAM))
    assert np.abs(np.corrcoef(own, other)[:2, 2:]).max() < 0.15


def test_an_archive_goes_on_where_it_was_killed(noisy, work, monkeypatch, tmp_path):
    settings = noisy()
    held = Series(ShardFolder(work / "persistence"), SPACE, 0).fields(range(50))
    more = NOISE.format(work=work, archive="killed", factor=1.0)
    settings = cycling.write(tmp_path, "persistence", "killed", more=more)
    step, left = Persistence.step, iter(range(45))

    def dying(self, batch):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return step(self, batch)

    monkeypatch.setattr(Persistence, "step", dying)
    with pytest.raises(KeyboardInterrupt):
        residuals(settings)
    assert len(ShardFolder(work / "killed").shards()) == 1  # of two
    with pytest.raises(UserError, match="no complete archive of residuals is there; python -m model_server residuals"):
        model_of(settings)
    stamp = ShardFolder(work / "killed").shards()[0].stat().st_mtime_ns
    monkeypatch.setattr(Persistence, "step", step)
    residuals(settings)
    assert ShardFolder(work / "killed").shards()[0].stat().st_mtime_ns == stamp
    np.testing.assert_array_equal(Series(ShardFolder(work / "killed"), SPACE, 0).fields(range(50)), held)


@pytest.mark.parametrize(("change", "said"), [
    (("start = 1989-01-01", "start = 1986-01-01"), "was made from states of 1985122400 to 1986010800"),
    (('"{work}/persistence"', '"{work}/inertia"'), "holds residuals with model = 'inertia', asked for 'persistence'"),
    (("1986-01-08", "1986-01-07"), "holds residuals with last = '1986010800', asked for '1986010700'"),
    (("season_days = 3", "segments = 3"), r"\[model.noise\]: unknown setting 'segments'"),
    (("blend_steps = 2", "blend_steps = 5"), "blend_steps must be at most segment_steps, 4, got 5"),
    (("batch = 4", "spectral_filter = {{ truncation = 1 }}"), "holds residuals with spectral_filter = None, asked"),
    (("season_days = 3", "season_days = 1"), None),
    (("1989-01-01", "1989-06-01"), "begin at 00 UTC within 3 days of the season of 1989060100"),
])
def test_what_does_not_fit_is_refused_in_a_sentence(noisy, work, tmp_path, change, said):
    noisy("inertia"), noisy("persistence")
    text = (tmp_path / "e.toml").read_text()
    old, new = (part.format(work=work) for part in change)
    assert old in text
    (tmp_path / "e.toml").write_text(text.replace(old, new))
    if said is None:
        model_of(config.load(tmp_path / "e.toml"))
        return
    with pytest.raises(UserError, match=said):
        settings = config.load(tmp_path / "e.toml")
        model = model_of(settings)
        when = settings.experiment.times()[0]
        advance(model, Batch(when, np.zeros((1, *SPACE.shape), np.float32), (None,), (1,), 1))


def test_a_gap_in_the_archive_is_told_before_the_experiment_that_comes_to_it_begins(noisy, tmp_path):
    noisy()
    path = tmp_path / "e.toml"
    whole = path.read_text()
    for end, said in (("1989-01-08T00", None), ("1989-01-20T00", "no 6 residuals one after the other that begin at")):
        path.write_text(whole.replace("end = 1989-01-01T12", f"end = {end}"))
        if said is None:
            model_of(config.load(path))
            continue
        with pytest.raises(UserError, match=said):
            model_of(config.load(path))


def test_a_member_within_its_segment_needs_no_other_whoever_is_beside_it(noisy, work):
    """In June the archive has no segment; a draw follows from (seed, time, member) alone."""
    model, summer = model_of(noisy()), datetime(1989, 6, 1, tzinfo=UTC)
    begin = model.errors.segments.begin

    def places(when: datetime, *done: int, numbers: tuple[int, ...]) -> list[tuple[int, ...]]:
        kept = tuple({segments.WHERE: np.array([begin[0], begin[number], steps], np.int64)}
                     for number, steps in zip(numbers, done, strict=True))
        batch = Batch(when, np.zeros((len(done), *SPACE.shape), np.float32), kept, numbers, 1)
        return [tuple(restart[segments.WHERE]) for restart in advance(model, batch).restart]

    assert places(summer, 1, LENGTH - 1, numbers=(1, 2)) == [(begin[0], begin[1], 2), (begin[0], begin[2], LENGTH)]
    with pytest.raises(UserError, match="of the season of 1989060100"):
        places(summer, 1, LENGTH, numbers=(1, 2))
    alone = places(START, LENGTH, numbers=(2,))
    assert places(START, 1, LENGTH, LENGTH, numbers=(1, 2, 3))[1:2] == alone
    random = Batch(START, np.zeros((1, 1)), (None,), (2,), 1).generators(NOISE_STREAM)[0]
    assert alone == [(begin[2], random.choice(model.errors.segments.near(START, DAYS)), 1)]


def test_residuals_of_other_options_or_weights_of_the_same_name_are_refused_and_a_note_of_before_is_read(
        noisy, work, tmp_path, monkeypatch):
    noisy("inertia")
    path = tmp_path / "e.toml"
    settings, text = config.load(path), path.read_text()
    path.write_text(text.replace("batch = 4", "batch = 4\noptions = { share = 0.25 }"))
    with pytest.raises(UserError, match=r"holds residuals with identity = {}, asked for {'share': 0.25}"):
        model_of(config.load(path))
    with pytest.raises(UserError, match=r"holds residuals with identity = {}, asked for {'share': 0.25}"):
        residuals(config.load(path))
    monkeypatch.setattr(type(model_of(settings).model), "identity", {"weights": "abc"}, raising=False)
    with pytest.raises(UserError, match=r"holds residuals with identity = {}, asked for {'weights': 'abc'}"):
        model_of(settings)
    note = archive.Note(work / "inertia").path
    held = json.loads(note.read_text())
    try:
        note.write_text(json.dumps({name: value for name, value in held.items() if name != "identity"}))
        model_of(settings)
    finally:
        note.write_text(json.dumps(held))


def test_errors_in_times_that_the_model_has_seen_are_neither_made_nor_added(noisy, monkeypatch):
    settings = noisy()
    beside = ((FIRST - 2 * STEP, FIRST - STEP), (LAST + STEP, LAST + STEP))
    monkeypatch.setattr(Persistence, "seen", beside, raising=False)
    residuals(settings)
    model_of(settings)
    for seen in ((FIRST - STEP, FIRST), (LAST, LAST + STEP)):
        monkeypatch.setattr(Persistence, "seen", (seen,))
        told = f"has seen states of {times.name(seen[0])} to {times.name(seen[1])}.*from 1985122400 to 1986010800"
        for refused in (residuals, model_of):
            with pytest.raises(UserError, match=told):
                refused(settings)


def test_a_complete_archive_needs_no_states_any_more(noisy, work, monkeypatch, caplog):
    settings = noisy()
    monkeypatch.setattr(NatureFolder, "state", lambda self, time: work / "gone.nc")
    with caplog.at_level("INFO"):
        residuals(settings)
    assert "60 residuals of persistence" in caplog.text


def test_an_archive_of_states_that_are_not_there_or_of_no_noise_is_refused(noisy, tmp_path, work):
    noisy()
    path, whole = tmp_path / "e.toml", (tmp_path / "e.toml").read_text()
    text = whole.replace(f"{work}/persistence", f"{work}/longer")
    for other, said in ((text.replace("1986-01-08", "1986-01-09"), r"1986010806.nc: no such file; 4 of 65 states"),
                        (text.replace("last = 1986-01-08", "last = 1985-12-24"), "no step of the model lies within"),
                        (whole.partition("[model.noise]")[0], 'noise. method = "none" needs no residuals')):
        path.write_text(other)
        with pytest.raises(UserError, match=said):
            residuals(config.load(path))


def test_memory_is_the_correlation_of_errors_some_steps_apart(noisy, work):
    """Persistence in a world without memory: its errors are correlated by -1/2 with the next, then by 0."""
    noisy()
    series = Series(ShardFolder(work / "persistence"), SPACE, 0)
    found = memory(series, int(STEP.total_seconds()), (1, 2, 58, 70))
    assert list(found) == [1, 2, 58]  # the archive has 60
    r = series.fields(range(len(series.seconds))).astype(np.float64)
    for lag in (1, 2):
        now, later = (part - part.mean(axis=0) for part in (r[:-lag], r[lag:]))
        covariance, before, after = ((SPACE.grid.area_weights * product).sum(axis=(0, 2, 3))
                                     for product in (now * later, now**2, later**2))
        assert found[lag] == pytest.approx(np.mean(covariance / np.sqrt(before * after)), abs=1e-5)
    assert found[1] == pytest.approx(-0.5, abs=0.05) and found[2] == pytest.approx(0, abs=0.05)
