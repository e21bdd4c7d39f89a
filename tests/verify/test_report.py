"""The report holds the numbers of the files, stands alone, and can be looked at."""

import json
import os
import re
import shutil
import subprocess
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest

from contracts import balance, config, field, observations, state, times
from contracts.balance import Agreement
from contracts.constants import GRAVITY
from contracts.errors import UserError
from contracts.field import Field
from contracts.grid import Grid
from contracts.state import State, StateSpace
from contracts.variables import Flag, Quantity
from letkf_mpi import summary
from tests import builders
from tests.verify import watched
from tests.verify.case import TIMES, experiment
from verify import __main__ as verify
from verify import charts, coast, groups, page, score_file, serve, shown, status
from verify.config import Settings
from verify.derived import sea_level_pressure
from verify.report import truth
from verify.report.material import Material
from verify.summary import number

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PAGES = {"report": "report.html", "status": ""}  # where `verify serve` has them
PICTURES = PAGES | {"warnings": "report.html#cycles"}
VOID = {"meta", "br", "hr", "img", "link", "input"}
SECTIONS = ["weather", "skill", "fit", "ranks", "spread-skill", "maps", "balance", "samples", "spectrum", "drift",
            "cycles", "settings"]


class Tree(HTMLParser):
    """Checks that elements are closed in order, keeps attributes and texts."""

    def __init__(self, html: str):
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def made(tmp_path, monkeypatch, capsys):
    """Settings, path and text of a report."""
    path, settings = watched.finished(tmp_path, monkeypatch)
    verify.main(["report", str(path)])
    file = Path(capsys.readouterr().out.strip())
    assert file == status.report_file(settings)
    return settings, file, file.read_text()


def test_the_report_has_all_sections_and_the_numbers_of_the_files(made):
    settings, _, html = made
    tree = Tree(html)
    assert [attributes["id"] for attributes in tree.all("section")] == SECTIONS
    last = score_file.read(settings.experiment.folder.at(TIMES[1]).scores)
    for score in ("background_rmse", "analysis_rmse", "background_spread", "analysis_crps"):
        assert number(last.score(score, "temperature_500")) in tree.texts
    for cycle in (score_file.read(settings.experiment.folder.at(time).scores) for time in TIMES):
        assert str(sum(cycle.counts.values())) in tree.texts


def test_the_fit_is_that_of_all_departures(made):
    settings, _, html = made
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", html)]
    tables = [groups.compared(observations.read_departures(settings.experiment.folder.at(time).departures)[0])
              for time in TIMES]
    fate, quantity, kind, omb = (np.concatenate([np.asarray(column(table)) for table in tables]) for column in (
        lambda t: t.flag, lambda t: t.quantity, lambda t: t.type, lambda t: t.value - t.background_mean))
    for key in set(zip(fate, quantity, kind, strict=True)):
        of_it = omb[(fate == key[0]) & (quantity == key[1]) & (kind == key[2])]
        quantity_of_it = Quantity(key[1])
        first = [Flag(key[0]).name, quantity_of_it.name.replace("_", " "), shown.report(int(key[2])),
                 shown.units_of(quantity_of_it)]
        row = next(row for row in rows if row[:4] == first)
        rms = shown.factor_of(quantity_of_it) * np.sqrt(np.mean(of_it**2))
        assert (row[4], row[7]) == (str(of_it.size), number(rms))
    fates = [row[0] for row in rows if row and row[0] in ("withheld", "assimilated", "monitored")]
    assert fates[0] == "withheld" and fates.index("assimilated") < fates.index("monitored")


def test_the_weather_is_that_of_the_files(made):
    settings, _, html = made
    space = settings.state.space(settings.grid.grid())
    analysis = state.read(settings.experiment.folder.at(TIMES[1]).analysis.mean, space).data
    names = [channel.name for channel in space.channels]
    warmth = analysis[names.index("temperature_850")] - 273.15
    told = [attributes["aria-label"] or "" for attributes in Tree(html).all("svg")]
    assert any(text.startswith("map of temperature at 850 hPa (°C) and wind")
               and f"from {number(warmth.min())} to {number(warmth.max())}" in text for text in told)
    assert [attributes["id"] for attributes in Tree(html).all("input")] == ["weather0", "weather1"]
    assert "checked" in Tree(html).all("input")[-1]


def test_times_of_the_weather_can_be_chosen(tmp_path, monkeypatch):
    path, settings = watched.finished(tmp_path, monkeypatch)
    verify.main(["report", str(path), "--at", times.name(TIMES[1])])
    html = status.report_file(settings).read_text()
    assert f"{TIMES[1]:%Y-%m-%d %H}</label>" in html and len(Tree(html).all("input")) == 1
    with pytest.raises(UserError, match="--at 2020010100: has no scores; expected times from 1989010106"):
        verify.main(["report", str(path), "--at", "2020010100"])


def test_sea_level_pressure_is_that_of_the_standard_atmosphere():
    # U.S. Standard Atmosphere (1976), table I: 278.24 K and 84 556 Pa at a geopotential height of 1500 m.
    found = sea_level_pressure(np.array(1500.0 * GRAVITY), np.array(278.40), 84_556.0)
    assert abs(float(found) - 101_325.0) < 15.0


def test_a_field_that_is_the_same_everywhere_is_said_not_drawn(tmp_path, monkeypatch):
    path, settings = watched.finished(tmp_path, monkeypatch)
    space = settings.state.space(settings.grid.grid())
    levels = np.unique(space.pressure)
    data = np.full((levels.size, *space.grid.shape), 1.25)
    constant = Field("inflation", "1", space.grid, levels, data, TIMES[1])
    field.write(settings.experiment.folder.at(TIMES[1]).field("inflation"), constant)
    verify.main(["report", str(path)])
    html = status.report_file(settings).read_text()
    assert "The same everywhere: inflation, 500 hPa 1.25." in html and "map of inflation" not in html


def test_a_spread_on_a_finer_grid_is_drawn_beside_what_it_was_made_of(tmp_path, monkeypatch):
    path, settings = watched.finished(tmp_path, monkeypatch)
    here, own = settings.experiment.folder.at(TIMES[0]), settings.state.space(settings.grid.grid())
    drawn = {"coarse": (4, 1.5), "bilinear and mean error": (8, 2.5), "network": (8, 3.5)}
    folders = (here.downscaled_from("coarse"), here.downscaled_from("guess"), here.downscaled)
    for folder, (rows, value) in zip(folders, drawn.values(), strict=True):
        space = StateSpace(Grid.regular(rows, 2 * rows), own.channels)
        state.write(folder.spread, State(space, np.full(space.shape, value), TIMES[0]), statistic="spread")
    verify.main(["report", str(path)])
    html = status.report_file(settings).read_text()
    for title, (_, value) in drawn.items():
        assert f"map of {title}, temperature 500 (K): area mean {number(value)}" in html
    own_spread = state.read(here.background.spread, own).field("temperature")[0]
    mean = float((own_spread * own.grid.area_weights).mean())
    assert f"map of the ensemble&#x27;s own, temperature 500 (K): area mean {number(mean)}" in html


def with_courses(settings: Settings, courses: list[np.ndarray]) -> None:
    """The last analysis anew, its members found by minimisations that went so, with what B says at each point."""
    here, space = settings.experiment.folder.at(TIMES[1]), settings.state.space(settings.grid.grid())
    for member, course in enumerate(courses, start=1):
        x = state.read(here.analysis.member(member), space)
        state.write(here.analysis.member(member), x, member, course=course)
    amounts = np.abs(builders.random_state(space, 3, TIMES[1]).data)
    state.write(here.field("background_deviation"), State(space, amounts, TIMES[1]), statistic="background_deviation")


def test_minimisations_and_what_b_says_are_shown_where_they_are_there(tmp_path, monkeypatch):
    path, settings = watched.finished(tmp_path, monkeypatch)
    with_courses(settings, [np.array([2.0, 1.5, 1.1]), np.array([3.0, 1.3]), np.array([2.5, 0.9, 0.6])])
    verify.main(["report", str(path)])
    tree = Tree(status.report_file(settings).read_text())
    assert "minimisation" in [attributes["id"] for attributes in tree.all("section")]
    told = [attributes["aria-label"] or "" for attributes in tree.all("svg")]
    assert any(text.startswith("J for each observation by iteration, 3 members, each by itself: from 2.50 to 1.00, "
                               "expected 1") for text in told)
    assert any(text.startswith("map of deviation of background errors as B has it, temperature 500") for text in told)


def test_one_minimisation_for_all_members_is_that_of_the_mean(tmp_path, monkeypatch):
    path, settings = watched.finished(tmp_path, monkeypatch)
    with_courses(settings, [np.array([2.0, 0.7])] * 3)
    verify.main(["report", str(path)])
    html = status.report_file(settings).read_text()
    assert "that of the mean: from 2.00 to 0.700, expected 0.5" in html


def test_the_balance_of_the_increment_is_that_of_the_definition(made):
    settings, _, html = made
    here, space = settings.experiment.folder.at(TIMES[1]), settings.state.space(settings.grid.grid())
    dx = np.subtract(*(state.read(each.mean, space).data.astype(float) for each in (here.analysis, here.background)))
    everywhere = np.ones(space.grid.shape, bool)
    expected = [number(value) for pair in (balance.geostrophic(dx, space, 50_000.0, everywhere),
                                           balance.hydrostatic(dx, space, everywhere))
                for agreement in [Agreement.of([pair])] for value in (agreement.correlation, agreement.slope)]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", html)]
    assert ["increment", *expected] in rows
    assert {"departures of members", "error of the background"} <= {row[0] for row in rows if row}


def test_coastlines_lie_on_the_globe_and_cross_no_date_line():
    lines = coast.lines()
    assert len(lines) > 100
    for line in lines:
        assert (np.abs(line[:, 0]) <= 180).all() and (np.abs(line[:, 1]) <= 90).all()
        assert (np.abs(np.diff(line[:, 0])) < 20).all()
    near = min(np.hypot(*(line - [-9.5, 38.7]).T).min() for line in lines)  # Cabo da Roca
    assert near < 0.5


def test_a_map_begins_at_the_date_line_whatever_the_grid_does():
    grid = settings_grid(4, 8)
    values = np.arange(32.0).reshape(4, 8)
    closed, lon = charts.closed_at_date_line(grid, values)
    assert lon[0] >= -180 and lon[-1] - lon[0] == 360 and (np.diff(lon) > 0).all()
    for n, east in enumerate(lon):
        column = np.flatnonzero(np.isclose(grid.lon % 360, east % 360))[0]
        assert (closed[:, n] == values[:, column]).all()


def settings_grid(nlat: int, nlon: int) -> Grid:
    return config.GridSettings(nlat=nlat, nlon=nlon).grid()


def test_maps_and_ranks_are_those_of_the_files(made):
    settings, _, html = made
    told = [attributes["aria-label"] or "" for attributes in Tree(html).all("svg")]
    here, space = settings.experiment.folder.at(TIMES[1]), settings.state.space(settings.grid.grid())
    channel = [c.name for c in space.channels].index("temperature_500")
    background, analysis = (state.read(each.mean, space).data[channel] for each in (here.background, here.analysis))
    increment = analysis.astype(float) - background
    range_of_it = f"from {number(increment.min())} to {number(increment.max())}"
    assert any(text.startswith("map of increment, temperature 500") and range_of_it in text for text in told)
    material = Material.read(settings)
    ranked = sum(found.ranks.sum() for key, found in material.sums.by("flag").items()
                 if key[0] in (Flag.assimilated, Flag.withheld))
    counts = [re.search(r"(\d+) observations among 3 members", text) for text in told]
    assert sum(int(count[1]) for count in counts if count) == ranked > 0


def test_the_report_stands_alone(made):
    _, file, html = made
    tree = Tree(html)
    assert file.stat().st_size < 3e6
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in tree.elements}
    for _, attributes in tree.elements:
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith(("#", "data:image/png;base64,"))
    assert "http" not in re.sub(r"data:[^\"]*", "", html.partition("<section id=\"settings\">")[0])
    assert "@import" not in html and not re.search(r"url\((?!#)", html)


def test_every_figure_says_in_words_what_it_shows(made):
    tree = Tree(made[2])
    assert len(tree.all("figure")) == len(tree.all("svg")) > 20
    for attributes in tree.all("svg"):
        assert attributes["role"] == "img" and len(attributes["aria-label"]) > 40


def test_names_within_figures_are_their_own(made):
    names = [attributes["id"] for _, attributes in Tree(made[2]).elements if "id" in attributes]
    assert len(names) == len(set(names))
    wanted = re.findall(r'(?:url\(#|href="#)([^)"]*)', made[2])
    assert set(wanted) <= set(names) and len(wanted) > 50


def test_a_report_without_a_truth_has_the_observations_sections(tmp_path, monkeypatch):
    path, settings = watched.finished(tmp_path, monkeypatch, with_truth=False)
    verify.main(["report", str(path)])
    sections = [attributes["id"] for attributes in Tree(status.report_file(settings).read_text()).all("section")]
    assert sections == [name for name in SECTIONS if name not in ("skill", "samples", "drift")]


@pytest.mark.parametrize(("note", "words"), [
    ({"packed": "nature_t31.h5", "sha256": "0"}, "the states of nature_t31.h5, a packed nature run, in run_1987"),
    ({"model": "speedy", "options": {"truncation": 31}, "parameters": {"albedo": 0.1}},
     "a run of speedy (truncation = 31, albedo = 0.1), in run_1987"),
    ({"model": "persistence", "options": {}}, "a run of persistence, in run_1987"),
    (None, "the states of run_1987"),
])
def test_the_truth_is_told_by_what_it_is(tmp_path, note, words):
    folder = tmp_path / "run_1987"
    folder.mkdir()
    if note is not None:
        (folder / "settings.json").write_text(json.dumps(note))
    assert truth.told(folder) == words


def test_settings_names_and_warnings_are_escaped(tmp_path, monkeypatch):
    path, settings = watched.finished(tmp_path, monkeypatch, more="regions = { '<img src=y>' = [-90, 90] }")
    settings.experiment.folder.settings.write_text('# <script>alert("x")</script>\n')
    here, line = settings.experiment.folder.at(TIMES[0]), "2026-01-01T00:00:00Z {} WARNING {}\n"
    here.log("obsproc").write_text(line.format("a", "<img src=x>"))
    clipped = summary.clipping(3, of=20)
    here.log("letkf_mpi").write_text(line.format("letkf_mpi.analysis", clipped))
    verify.main(["report", str(path)])
    tree = Tree(status.report_file(settings).read_text())
    assert not tree.all("script") and not tree.all("img")
    for told in ("<script>", "<img src=x>", "<img src=y>", "letkf_mpi.analysis: 15.0 per cent of all humidities"):
        assert any(told in text for text in tree.texts), told


def test_before_any_scores_it_is_said(tmp_path, monkeypatch):
    with pytest.raises(Exception, match="no time has scores yet"):
        verify.main(["report", str(experiment(tmp_path, monkeypatch))])


def test_rows_of_a_map_have_equal_steps_whatever_the_grid():
    regular, gaussian = Grid.regular(16, 32), Grid.gaussian(16, 32)
    assert charts._even(regular) is regular
    drawn = charts._even(gaussian)
    assert np.ptp(np.diff(drawn.lat)) < 1e-9 and drawn.lat.size == 17 and drawn.lat[-1] == pytest.approx(90 - 90 / 17)
    assert "<svg" in charts.field("a", "what is seen", gaussian, np.ones(gaussian.shape), None)


def test_colours_of_a_chart_follow_the_page():
    svg = charts.chart("a", "what is seen", lambda axis: axis.plot([1, 2], color=charts.ANALYSIS))
    assert "stroke: var(--analysis)" in svg and "fill: var(--ink)" in svg and "#0" not in svg
    known = set(re.findall(r"--([a-z]+):", page.STYLE))
    assert set(re.findall(r"var\(--([a-z]+)\)", svg + page.STYLE)) <= known


def test_files_that_were_refused_and_warnings_are_on_report_and_page(troubled):
    _, told, pages = troubled
    for file in pages.values():
        found = Tree(file.read_text()).texts
        for words in told:
            assert words in found, (file, words)
        assert "sound.bufr" not in found


@pytest.fixture
def troubled(tmp_path, monkeypatch):
    """Address of a server, what its pages must tell, and the pages as it sends them: an experiment with all kinds of
    warnings."""
    path, settings = watched.finished(tmp_path, monkeypatch)
    told = watched.trouble(settings)
    verify.main(["report", str(path)])
    with serve.server(settings, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://{serve.ADDRESS}:{server.server_port}/"
        sent = {}
        for name, place in PAGES.items():
            with urlopen(address + place) as answer:
                sent[name] = tmp_path / f"{name}.html"
                sent[name].write_bytes(answer.read())
        yield address, told, sent
        server.shutdown()
        thread.join()


@pytest.mark.skipif(not CHROMIUM, reason="no chromium: install the Debian package to look at the pages")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("device", "width"), [("phone", 390), ("desktop", 1280)])
def test_the_pages_can_be_looked_at(troubled, tmp_path, scheme, device, width):
    """Screenshots, of pages as `verify serve` sends them, go to $SCREENSHOTS, if set; the paper is as light or dark as
    asked for, and nothing sticks out."""
    address, _, pages = troubled
    for name, place in PICTURES.items():
        picture = Path(os.environ.get("SCREENSHOTS") or tmp_path) / f"{name}_{device}_{scheme}.png"
        assert brightness(shoot(address + place, picture, width, scheme, tmp_path)) == scheme
    assert not any(sticks_out(file, width, tmp_path) for file in pages.values())


def chromium(*arguments: str, folder: Path) -> str:
    done = subprocess.run([CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                           f"--user-data-dir={folder / 'browser'}", *arguments], text=True, capture_output=True,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def framed(address: str, width: int, folder: Path, script: str = "") -> str:
    """A page that holds another in a window of `width`, which a browser's own window may not have."""
    frame = folder / "frame.html"
    frame.write_text(f'<body style="margin:0"><iframe src="{address}" style="width:{width}px; height:2400px; '
                     f'border:0"></iframe>{script}</body>')
    return f"file://{frame}"


def shoot(address: str, picture: Path, width: int, scheme: str, folder: Path) -> Path:
    picture.parent.mkdir(parents=True, exist_ok=True)
    chromium(f"--blink-settings=preferredColorScheme={int(scheme == 'light')}", f"--screenshot={picture}",
             "--virtual-time-budget=3000", f"--window-size={width},2400", framed(address, width, folder), folder=folder)
    return picture


def brightness(picture: Path) -> str:
    from matplotlib.image import imread

    return "light" if imread(picture)[:20, :10, :3].mean() > 0.5 else "dark"


def sticks_out(file: Path, width: int, folder: Path) -> bool:
    """Whether the page is wider than its window."""
    script = ("<script>onload = () => { const root = document.querySelector('iframe').contentDocument.documentElement; "
              "document.body.dataset.wide = root.scrollWidth > root.clientWidth ? 'yes' : 'no' }</script>")
    dom = chromium("--allow-file-access-from-files", "--dump-dom", "--virtual-time-budget=3000",
                   framed(f"file://{file}", width, folder, script), folder=folder)
    found = re.search(r'data-wide="(\w+)"', dom)
    assert found, "the browser did not measure the page"
    return found[1] == "yes"
