"""The program from the outside: files in, observations.nc and an account out; every fault one sentence."""

import json
import logging
import subprocess
import sys
from datetime import timedelta

import numpy as np
import pytest

from contracts import observations, state, static, times
from contracts.errors import UserError
from contracts.variables import Flag, Quantity
from obsproc import accounts, inventory
from obsproc.__main__ import main
from obsproc.bufr import files
from obsproc.bufr.messages import scan
from tests import builders

CYCLE = "1989010112"
TIME = times.parse(CYCLE)


def experiment(tmp_path, settings: str, mode: str = "research"):
    """An experiment file; returns its path and the path of the product."""
    path = tmp_path / "experiment.toml"
    end = builders.TIME + timedelta(hours=12)
    path.write_text(f"""{builders.experiment("test", end=end, work=str(tmp_path), mode=mode)}
        {settings}""")
    return str(path), tmp_path / "test" / CYCLE / "observations.nc"


@pytest.fixture
def real(samples, tmp_path):
    return experiment(tmp_path, f"""
        [observations]
        files = ["{samples}/prepbufr/prepqm%y%m%d%H"]
        withhold_share = 0.1""")


def test_a_real_cycle_is_accounted_for(real, samples, caplog):
    path, product = real
    with caplog.at_level(logging.INFO):
        main([path, CYCLE])
    table, source = observations.read(product)
    golden = json.loads((samples / "prepbufr/golden/sums.json").read_text())["prepqm89010112"]
    counts = [kind["vars"].get(name, {"n": 0})["n"] for kind in golden["types"].values()
              for name in ("TOB", "QOB", "UOB", "VOB")]
    others = np.isin(table.quantity, [Quantity.surface_pressure, Quantity.geopotential_height])
    assert (~others).sum() == sum(counts)
    assert source.sha256 == (golden["sha256"],)
    assert source.time == TIME and times.name(source.window[0]) == "1989010109"
    assert accounts.table(table) in caplog.text
    assert table.counts()[Flag.passed] > 80_000
    _check_account(table)


def _check_account(table):
    """Each line's flags add up to its rows, and the lines to the table."""
    head, *lines = [line.split() for line in accounts.table(table).splitlines()]
    total = lines.pop()
    numbers = np.array([[int(x) for x in line[2:]] for line in lines])
    np.testing.assert_array_equal(numbers[:, 0], numbers[:, 1:].sum(axis=1))
    assert [int(x) for x in total[1:]] == numbers.sum(axis=0).tolist()
    assert numbers[:, 0].sum() == len(table)
    assert head[3:] == [flag.name for flag in sorted(table.counts())]


def test_what_passed_can_be_assimilated_as_it_is(real):
    path, product = real
    main([path, CYCLE])
    table, source = observations.read(product)
    passed = table.select(table.flag == Flag.passed)
    for name in ("value", "error", "lat", "lon"):
        assert np.isfinite(getattr(passed, name)).all(), name
    assert (passed.error > 0).all() and (passed.quality <= 3).all()
    early, late = map(times.to_seconds, source.window)
    later = passed.select((passed.time < early) | (passed.time > late))  # of balloons launched inside the window
    assert set(later.message_type) == {b"ADPUPA"} and (later.time < late + 4 * 3600).all()
    at_surface = np.array([Quantity(int(q)).at_surface for q in passed.quantity])
    assert np.isfinite(np.where(at_surface, passed.elevation, passed.pressure)).all()


def test_repetitions_in_a_real_cycle_are_flagged(real):
    """Levels that a sounding gives in two categories, bulletins sent again, balloons and stations in two codes."""
    path, product = real
    main([path, CYCLE])
    table, _ = observations.read(product)
    again = table.select(table.flag == Flag.duplicate)
    assert len(again) == 568 and set(again.message_type) == {b"ADPUPA", b"ADPSFC", b"SFCSHP"}


def test_withheld_stations_give_nothing_to_the_analysis(real):
    path, product = real
    main([path, CYCLE])
    table, _ = observations.read(product)
    sondes = table.select(table.message_type == b"ADPUPA")
    withheld = np.unique(sondes.station[sondes.flag == Flag.withheld])
    assert 0.05 < len(withheld) / len(np.unique(sondes.station)) < 0.16
    assert not np.isin(sondes.station[sondes.flag == Flag.passed], withheld).any()


def test_running_again_gives_the_same_table(real):
    path, product = real
    main([path, CYCLE])
    first, _ = observations.read(product)
    main([path, CYCLE])
    again, _ = observations.read(product)
    for name in ("value", "error", "flag", "station"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


TWIN = """
    [grid]
    nlat = 8
    nlon = 16
    [state]
    levels_hpa = [500, 850, 925]
    [observations]
    source = "synthetic"
    [synthetic]
    truth = "nature/%Y%m%d%H.nc" """


def test_a_twin_experiment_observes_its_truth(tmp_path):
    path, product = experiment(tmp_path, TWIN)
    truth = builders.random_state(builders.space(), time=TIME)
    state.write(tmp_path / "nature" / f"{CYCLE}.nc", truth)
    static.write(tmp_path / "test" / "static.nc", builders.flat_static(truth.space.grid))
    main([path, CYCLE])
    table, source = observations.read(product)
    assert len(table) == 320 * (3 * 3 + 3 + 1)
    assert (table.time == times.to_seconds(TIME)).all() and len(source.sha256) == 1
    _check_account(table)


@pytest.fixture
def twin(tmp_path):
    """A twin experiment whose truth is there at its first two times of three; its file and its folder."""
    path, product = experiment(tmp_path, TWIN)
    for cycle in ("1989010106", CYCLE):
        truth = builders.random_state(builders.space(), time=times.parse(cycle))
        state.write(tmp_path / "nature" / f"{cycle}.nc", truth)
    static.write(tmp_path / "test" / "static.nc", builders.flat_static(truth.space.grid))
    return path, product.parent.parent


def test_one_process_makes_the_observations_of_all_times_as_one_for_each_does(twin, tmp_path):
    path, folder = twin
    first, second, third = (folder / cycle / "observations.nc" for cycle in ("1989010106", CYCLE, "1989010118"))
    done = run(path, "--follow")
    assert done.returncode == 1 and "nature/1989010118.nc" in done.stderr  # no truth there, and none is waited for
    assert first.exists() and second.exists() and not third.exists()
    assert "wrote" in (first.parent / "log/obsproc.log").read_text()
    assert CYCLE not in (first.parent / "log/obsproc.log").read_text()
    by_service, stamp = observations.read(second)[0], first.stat().st_mtime_ns
    second.unlink()
    assert run(path, CYCLE).returncode == 0
    np.testing.assert_array_equal(observations.read(second)[0].value, by_service.value)

    truth = builders.random_state(builders.space(), time=times.parse("1989010118"))
    state.write(tmp_path / "nature" / "1989010118.nc", truth)
    assert run(path, "--follow").returncode == 0
    assert third.exists() and first.stat().st_mtime_ns == stamp


def test_observing_all_times_ends_when_asked(twin):
    path, folder = twin
    (folder / "stop").touch()
    done = run(path, "--follow")
    assert done.returncode == 0 and "stopped by" in done.stderr
    assert not (folder / CYCLE).exists()


@pytest.mark.parametrize("arguments", [[], [CYCLE, "--follow"]])
def test_either_a_time_or_all_of_them(twin, arguments):
    done = run(twin[0], *arguments)
    assert done.returncode == 2 and "give either a TIME or --follow" in done.stderr


@pytest.mark.parametrize(("files", "sentence"), [
    ("nowhere/prepqm%y%m%d%H", "no such file"),
    ("{samples}/prepbufr/prepqm89010106", r"holds the reports of 89-01-01 06:00 .*, expected 1989010112"),
    ("{samples}/README.md", "this is not a BUFR file"),
])
def test_a_file_that_cannot_serve_stops_research_but_not_real_time(samples, tmp_path, files, sentence, caplog):
    settings = f'[observations]\nfiles = ["{files.format(samples=samples)}"]'
    path, product = experiment(tmp_path, settings)
    with pytest.raises(UserError, match=sentence):
        main([path, CYCLE])
    assert not product.exists()
    path, product = experiment(tmp_path, settings, mode="realtime")
    main([path, CYCLE])
    assert len(observations.read(product)[0]) == 0
    assert "going on without it" in caplog.text


@pytest.mark.parametrize("mode", ["research", "realtime"])
def test_a_file_name_that_cannot_be_is_a_mistake_in_every_mode(tmp_path, mode):
    path, product = experiment(tmp_path, '[observations]\nfiles = ["$NOT_SET_ANYWHERE/file"]', mode)
    with pytest.raises(UserError, match="an environment variable in this file name is not set"):
        main([path, CYCLE])
    assert not product.exists()


HOUR_BYTE = 8 + 15  # of a message of edition 3


@pytest.mark.parametrize("damage", ["length of a subset", "date"])
def test_in_real_time_the_sound_messages_of_a_damaged_file_are_used(samples, tmp_path, caplog, damage):
    data = bytearray((samples / "prepbufr/prepqm89010112").read_bytes())
    whole = scan(bytes(data), "x")
    victim = next(message for message in whole if not message.is_table)
    if damage == "date":
        data[victim.start + HOUR_BYTE] ^= 1
    else:
        data[victim.data_start : victim.data_start + 2] = b"\0\1"  # its first subset says that it has one byte
    (tmp_path / "damaged").write_bytes(data)
    settings = f'[observations]\nfiles = ["{tmp_path}/damaged"]\n[realtime]\nsettled_seconds = 0'
    with pytest.raises(UserError, match=f"message {victim.number}"):
        main([experiment(tmp_path, settings)[0], CYCLE])
    path, product = experiment(tmp_path, settings, mode="realtime")
    main([path, CYCLE])
    assert f"message {victim.number}, byte" in caplog.text
    found = observations.read(product)[0]
    main([experiment(tmp_path, f'[observations]\nfiles = ["{samples}/prepbufr/prepqm89010112"]')[0], CYCLE])
    lost = len(np.unique(observations.read(product)[0].report)) - len(np.unique(found.report))
    assert 0 < lost <= victim.subsets


@pytest.mark.parametrize(("settings", "sentence"), [
    ('use = ["temprature"]', r"\[observations\].*unknown quantity 'temprature'"),
    ("window_hours = [3, -3]", "window_hours must be earliest then latest"),
    ("withhold_share = 2.0", r"\[observations\] withhold_share"),
    ("windows = 3", "unknown setting 'windows'"),
])
def test_settings_that_make_no_sense_are_refused(tmp_path, settings, sentence):
    with pytest.raises(UserError, match=sentence):
        main([experiment(tmp_path, f"[observations]\n{settings}")[0], CYCLE])


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "obsproc", *map(str, arguments)], capture_output=True, text=True)


def test_inspect_prints_the_layout_of_the_golden_sums(samples):
    result = run("inspect", samples / "prepbufr/gdas.t12z.acft_profiles.prepbufr", "--json")
    golden = json.loads((samples / "prepbufr/golden/sums.json").read_text())
    found = json.loads(result.stdout)
    assert result.returncode == 0 and list(found) == ["gdas.t12z.acft_profiles.prepbufr"]
    expected = golden["gdas.t12z.acft_profiles.prepbufr"]
    kind = found["gdas.t12z.acft_profiles.prepbufr"]["types"]["AIRCFT"]
    assert {name: s["n"] for name, s in kind["vars"].items()} == {
        name: s["n"] for name, s in expected["types"]["AIRCFT"]["vars"].items()}


def test_a_file_inspected_in_parts_has_the_same_counts_and_sums(samples, monkeypatch):
    path = samples / "prepbufr/prepqm89010106"
    whole = json.loads(inventory.as_json([files.read_file(path, inventory.WANTED)]))["prepqm89010106"]
    monkeypatch.setattr(files, "PART_BYTES", 300_000)
    parts = list(files.read_in_parts(path, inventory.WANTED))
    assert len(parts) > 3 and max(part.reports["ADPSFC"].subsets for part in parts if "ADPSFC" in part.reports) < 10_000
    found = json.loads(inventory.as_json(parts))["prepqm89010106"]
    assert found["sha256"] == whole["sha256"] and list(found["types"]) == list(whole["types"])
    for kind, expected in whole["types"].items():
        of_type = found["types"][kind]
        assert (of_type["subsets"], of_type["levels"]) == (expected["subsets"], expected["levels"])
        for mnemonic, values in expected["vars"].items():
            assert of_type["vars"][mnemonic] == pytest.approx(values, rel=1e-12), mnemonic


def test_inspect_prints_a_table_for_the_eye(samples):
    result = run("inspect", samples / "prepbufr/prepqm89010112")
    assert "ADPUPA   121 messages  1648 subsets  40029 levels" in result.stdout
    assert any(line.split()[:2] == ["TOB", "19503"] for line in result.stdout.splitlines())


@pytest.mark.parametrize("arguments", [["inspect", __file__], ["inspect", "nowhere"], ["nowhere.toml", CYCLE]])
def test_a_fault_is_one_sentence_and_an_exit_status(arguments):
    result = run(*arguments)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr and len(result.stderr.strip().splitlines()) == 1


def test_inspect_loads_nothing_that_it_does_not_need(samples):
    """NetCDF and settings alone would take longer than a file of 100 kB."""
    file = samples / "prepbufr/fixtures/prepqm89010112_1msg_per_type.prepbufr"
    code = ("import sys\nfrom obsproc.__main__ import main\nmain(sys.argv[1:])\n"
            "print([name for name in ('netCDF4', 'msgspec', 'scipy', 'obsoperator') if name in sys.modules])")
    result = subprocess.run([sys.executable, "-c", code, "inspect", str(file)], capture_output=True, text=True)
    assert result.returncode == 0 and result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("arguments", [["--help"], ["inspect", "--help"]])
def test_help_ends_with_an_example(arguments):
    result = run(*arguments)
    assert result.returncode == 0 and "example:\n  python -m obsproc" in result.stdout


@pytest.mark.parametrize(("method", "flag"), [("density", Flag.thinned), ("superob", Flag.superobbed)])
def test_thinning_a_real_cycle_takes_from_what_passed_and_from_nothing_else(samples, tmp_path, method, flag):
    """Rows of the file stay in place; what the analysis may use becomes less, and the account says why."""
    start = f'[observations]\nfiles = ["{samples}/prepbufr/prepqm%y%m%d%H"]\nwithhold_share = 0.1'
    path, product = experiment(tmp_path, start)
    main([path, CYCLE])
    before, _ = observations.read(product)
    main([experiment(tmp_path, f'{start}\n[thinning]\nmethod = "{method}"')[0], CYCLE])
    after, _ = observations.read(product)
    of_file, means = after.select(np.arange(len(before))), after.select(np.arange(len(before), len(after)))
    np.testing.assert_array_equal(of_file.value, before.value)
    changed = of_file.flag != before.flag
    assert (before.flag[changed] == Flag.passed).all() and (of_file.flag[changed] == flag).all()
    assert means.count.sum() == (changed.sum() if method == "superob" else 0)
    assert changed.sum() - len(means) > 25_000
    pairs = [of_file.flag[of_file.quantity == wind] for wind in (1, 2)]
    np.testing.assert_array_equal(*pairs)
