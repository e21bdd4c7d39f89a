"""The report holds the numbers of the files, stands alone, and can be looked at."""

import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from contracts import observations, state
from contracts.variables import Flag, Quantity
from letkf_mpi import summary
from tests.verify import watched
from tests.verify.case import TIMES, experiment
from verify import __main__ as verify
from verify import charts, groups, page, score_file, serve, status
from verify.report.material import Material
from verify.summary import number

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
VOID = {"meta", "br", "hr", "img", "link", "input"}
SECTIONS = ["skill", "fit", "ranks", "spread-skill", "maps", "spectrum", "drift", "cycles", "settings"]


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
        first = [Flag(key[0]).name, Quantity(key[1]).name.replace("_", " "), str(key[2]), Quantity(key[1]).units]
        row = next(row for row in rows if row[:4] == first)
        assert (row[4], row[7]) == (str(of_it.size), number(np.sqrt(np.mean(of_it**2))))


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
    assert sections == [name for name in SECTIONS if name not in ("skill", "drift")]


def test_settings_names_and_warnings_are_escaped(tmp_path, monkeypatch):
    path, settings = watched.finished(tmp_path, monkeypatch, more="regions = { '<img src=y>' = [-90, 90] }")
    settings.experiment.folder.settings.write_text('# <script>alert("x")</script>\n')
    here, line = settings.experiment.folder.at(TIMES[0]), "2026-01-01T00:00:00Z {} WARNING {}\n"
    here.log("obsproc").write_text(line.format("a", "<img src=x>"))
    clipped = summary.clipping(SimpleNamespace(clipped=np.array([3, 0])), humid=10)
    here.log("letkf_mpi").write_text(line.format("letkf_mpi.analysis", clipped))
    verify.main(["report", str(path)])
    tree = Tree(status.report_file(settings).read_text())
    assert not tree.all("script") and not tree.all("img")
    for told in ("<script>", "<img src=x>", "<img src=y>", "letkf_mpi.analysis: 15.0 per cent of all humidities"):
        assert any(told in text for text in tree.texts), told


def test_before_any_scores_it_is_said(tmp_path, monkeypatch):
    with pytest.raises(Exception, match="no time has scores yet"):
        verify.main(["report", str(experiment(tmp_path, monkeypatch))])


def test_colours_of_a_chart_follow_the_page():
    svg = charts.chart("a", "what is seen", lambda axis: axis.plot([1, 2], color=charts.ANALYSIS))
    assert "stroke: var(--analysis)" in svg and "fill: var(--ink)" in svg and "#0" not in svg
    known = set(re.findall(r"--([a-z]+):", page.STYLE))
    assert set(re.findall(r"var\(--([a-z]+)\)", svg + page.STYLE)) <= known


@pytest.mark.skipif(not CHROMIUM, reason="no chromium: install the Debian package to look at the pages")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("device", "width"), [("phone", 390), ("desktop", 1280)])
def test_the_pages_can_be_looked_at(made, tmp_path, scheme, device, width):
    """Screenshots go to $SCREENSHOTS, if set; the paper is as light or dark as asked for, and nothing sticks out."""
    settings, report, _ = made
    status_page = tmp_path / "status.html"
    status_page.write_text(serve.html(status.of(settings), report))
    for name, file in (("report", report), ("status", status_page)):
        picture = Path(os.environ.get("SCREENSHOTS") or tmp_path) / f"{name}_{device}_{scheme}.png"
        assert brightness(shoot(file, picture, width, scheme, tmp_path)) == scheme
        assert not sticks_out(file, width, tmp_path)


def chromium(*arguments: str, folder: Path) -> str:
    done = subprocess.run([CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                           f"--user-data-dir={folder / 'browser'}", *arguments], text=True, capture_output=True,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def framed(file: Path, width: int, folder: Path, script: str = "") -> str:
    """A page that holds `file` in a window of `width`, which a browser's own window may not have."""
    frame = folder / f"frame_{file.stem}.html"
    frame.write_text(f'<body style="margin:0"><iframe src="file://{file}" style="width:{width}px; height:2400px; '
                     f'border:0"></iframe>{script}</body>')
    return f"file://{frame}"


def shoot(file: Path, picture: Path, width: int, scheme: str, folder: Path) -> Path:
    picture.parent.mkdir(parents=True, exist_ok=True)
    chromium(f"--blink-settings=preferredColorScheme={int(scheme == 'light')}", f"--screenshot={picture}",
             f"--window-size={width},2400", framed(file, width, folder), folder=folder)
    return picture


def brightness(picture: Path) -> str:
    from matplotlib.image import imread

    return "light" if imread(picture)[:20, :10, :3].mean() > 0.5 else "dark"


def sticks_out(file: Path, width: int, folder: Path) -> bool:
    """Whether the page is wider than its window."""
    script = ("<script>onload = () => { const root = document.querySelector('iframe').contentDocument.documentElement; "
              "document.body.dataset.wide = root.scrollWidth > root.clientWidth ? 'yes' : 'no' }</script>")
    dom = chromium("--allow-file-access-from-files", "--dump-dom", "--virtual-time-budget=3000",
                   framed(file, width, folder, script), folder=folder)
    found = re.search(r'data-wide="(\w+)"', dom)
    assert found, "the browser did not measure the page"
    return found[1] == "yes"
