"""Every program looks at its settings before anything is made, and a later change is refused only where it matters."""

import sys
from pathlib import Path

import pytest

from contracts import __main__ as shell
from contracts import config, frozen, stages, texts, validation
from contracts.errors import UserError
from contracts.programs import PROGRAMS, Program
from tests.builders import lay_package

TEXT = """
[experiment]
name = "looked_at"
start = 1989-01-01T00:00:00Z
end = 1989-01-01T06:00:00Z
[model]
name = "persistence"
[initial]
folder = "climate"
[relaxation]
method = "rtps"
alpha = 0.9
"""


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("WORK", str(tmp_path))
    return written(tmp_path, TEXT)


def written(folder: Path, text: str) -> Path:
    path = folder / "e.toml"
    path.write_text(text)
    return path


def freeze(path: Path, old: str = "", new: str = "") -> None:
    """Begin or go on with the experiment as run/cycle.sh does, with `new` in the place of `old`."""
    path.write_text(TEXT.replace(old, new) if old else TEXT)
    shell.main([str(path), "--freeze", "code"])


def kept(path: Path) -> Path:
    """The file as it was run."""
    return path.parent / "looked_at" / "experiment.toml"


def make(path: Path, name: str) -> None:
    """A file of the experiment, empty."""
    made = kept(path).parent / name
    made.parent.mkdir(parents=True, exist_ok=True)
    made.touch()


def test_all_programs_of_the_file_are_named(file, capsys):
    file.write_text(TEXT + "[background_check]\nlimit = 4.0\n")  # of every analysis program, but one makes the analysis
    shell.main([str(file), "--validate"])
    assert capsys.readouterr().out == (f"{file}: valid for obsproc, letkf_mpi.analysis, model_server.forecast, verify, "
                                       "model_server initial\n")


@pytest.mark.parametrize(("old", "new", "sentence"), [
    ('"rtps"', '"RTPS"', r"\[relaxation\] method: expected one of .*rtps.*, got 'RTPS'"),
    ("alpha = 0.9", "alpha = -0.9", r"\[relaxation\] alpha: Expected float >= 0.0"),
    ('"persistence"', '"persistance"', "unknown model 'persistance'; known: "),
    ('"persistence"', '"persistence"\noptions = { trunc = 2 }', r"\[model.options\]: unknown setting 'trunc'"),
    ("[initial]", '[observations]\nsource = "prepbuf"\n[initial]', "value 'prepbuf'; .*you mean 'prepbufr'"),
    ("[initial]", "[verify]\nlayers_hpa = [1]\n[initial]", "layers_hpa must descend"),
    ("[initial]", "[training]\nepochs = 3\n[initial]", "training"),
    ("[initial]", '[run]\nanalysis = "letkf"\n[initial]', r"\[run\] analysis: there is no program 'letkf'"),
])
def test_what_any_program_refuses_is_told_before_anything_is_made(file, old, new, sentence):
    file.write_text(TEXT.replace(old, new))
    for option in (["--validate"], ["--freeze", "code"]):
        with pytest.raises(UserError, match=sentence):
            shell.main([str(file), *option])
    assert [path.name for path in file.parent.iterdir()] == ["e.toml"]


def test_what_several_programs_refuse_is_told_at_once_and_what_all_refuse_once(file):
    file.write_text(TEXT.replace('"rtps"', '"RTPS"').replace('"persistence"', '"none"'))
    with pytest.raises(UserError, match=r"^[^\n]*'RTPS'[^\n]*\n[^\n]*'none'[^\n]*$"):
        shell.main([str(file), "--validate"])
    file.write_text(TEXT + "[grid]\nnlat = 1\n")
    with pytest.raises(UserError, match=r"^[^\n]*\[grid\] nlat: Expected int >= 2$"):
        shell.main([str(file), "--validate"])


NEURAL = """[run]
analysis = "neural_da.analysis"
[neural]
method = "three_d_var"
latent = "latent/small.safetensors"
"""


@pytest.mark.parametrize(("own", "said"), [
    (TEXT + NEURAL, ["[relaxation] changes nothing: read by letkf_mpi.analysis, and [run] analysis is "
                     "neural_da.analysis; take it out"]),
    (TEXT + "[parameters]\n[background_check]\nlimit = 4.0\n" + NEURAL, ["[relaxation], [parameters] change nothing: "
     "read by letkf_mpi.analysis, and [run] analysis is neural_da.analysis; take them out"]),
    (TEXT + '[neural]\nmethod = "three_d_var"\n', ["[neural] changes nothing: read by neural_da.analysis, and [run] "
                                                   "analysis is letkf_mpi.analysis; take it out"]),
    (TEXT + "[climate]\n[training]\n", []),  # of commands, which make no stage
    (TEXT.partition("[relaxation]")[0] + NEURAL, []),
])
def test_sections_that_only_another_analysis_would_read_are_told(own, said):
    assert validation.unread(texts.table(own, "e"), stages.run_of(own, "e")) == said


def test_they_are_told_once_and_those_of_a_base_may_be_for_other_files(file, caplog):
    """The file is frozen once; whoever stands on the experiment of another analysis need not say what to leave out."""
    other = 'base = "e.toml"\n' + '[run]\nforecast = "model_server.forecast"\n'
    file.write_text(TEXT + "[neural]\nmethod = \"three_d_var\"\nlatent = \"latent/small.safetensors\"\n")
    above = file.with_name("above.toml")
    above.write_text(other)
    for _ in range(2):
        shell.main([str(file), "--freeze", "code"])
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1 and told[0].startswith(f"{file}: [neural] changes nothing: ")
    caplog.clear()
    shell.main([str(above), "--validate"])
    assert not caplog.records


def test_the_program_of_another_package_is_asked(file, monkeypatch):
    """By a function, which is given the file, or by a struct of its sections."""
    monkeypatch.syspath_prepend(file.parent)
    lay_package(file.parent, "mine.analysis",
                'PROGRAM = Program("mine.config:Settings", ("mine",), makes="analysis")')
    (file.parent / "mine").mkdir()
    (file.parent / "mine" / "__init__.py").touch()
    (file.parent / "mine" / "config.py").write_text(
        "from contracts import config\n"
        "class Mine(config.Section, frozen=True):\n    depth: int = 1\n"
        "class Settings(config.Section, frozen=True):\n    experiment: config.Experiment\n    mine: Mine = Mine()\n")
    file.write_text(TEXT + '[mine]\ndepht = 3\n[run]\nanalysis = "mine.analysis"\n')
    with pytest.raises(UserError, match=r"\[mine\]: unknown setting 'depht'; known: depth; did you mean 'depth'"):
        shell.main([str(file), "--validate"])
    for name in ("mine_analysis_program", "mine", "mine.config"):
        sys.modules.pop(name, None)


def test_a_program_whose_settings_cannot_be_imported_is_named(file, monkeypatch):
    monkeypatch.setitem(PROGRAMS, "networks climate", Program("nowhere.config:load", ("climate",)))
    file.write_text(TEXT + "[climate]\n")
    with pytest.raises(UserError, match=r"^/.*/e.toml: nowhere.config:load, .*No module named 'nowhere'.*install what"):
        shell.main([str(file), "--validate"])


def test_a_setting_may_change_until_a_file_depends_on_it(file):
    freeze(file)
    for name in ("1989010100/background/m0001.nc", "1989010100/observations.nc", "1989010100/log/analysis.log"):
        make(file, name)
    freeze(file, "alpha = 0.9", "alpha = 0.5")
    assert "alpha = 0.5" in kept(file).read_text()
    make(file, "1989010100/analysis/m0001.nc")
    with pytest.raises(UserError, match=r"\[relaxation\] alpha: this experiment was begun with 0.5, the file now says "
                                        r"0.9, and /.*/1989010100/analysis/m0001.nc depends on it; give the exp"):
        freeze(file)
    assert "alpha = 0.5" in kept(file).read_text()


@pytest.mark.parametrize(("made", "more", "refused"), [
    ("background/m0001.nc", "[initial]\nevery_hours = 6", True),
    ("background/m0001.nc", "[model]\nspectral_filter = { truncation = 20 }", True),
    ("background/m0001.nc", "[grid]\nnlat = 16", True),
    ("background/m0001.nc", "[localization]\nhorizontal_km = 600.0", False),
    ("background/m0001.nc", "[training]\nepochs = 3", False),
    ("observations.nc", "[thinning]\nmethod = 'density'", True),
    ("observations.nc", "[analysis]\ntile = 2", False),
    ("inflation.nc", "[analysis]\ntile = 2", True),
    ("inflation.nc", "[analysis]\nthreads = 2\nmemory_gb = 4.0", False),
    ("departures.nc", "[background_check]\nlimit = 4.0", True),
    ("departures.nc", "[model]\nbatch = 2", False),
    ("departures.nc", "[run]\nranks = 5\n[retention]\nmembers_hours = 6\n[realtime]\ncutoff_hours = 3.0", False),
    ("scores.nc", "[verify]\nmemory_gib = 2.0", False),
])
def test_a_change_is_refused_where_the_stage_that_reads_the_setting_has_made_a_file(file, made, more, refused):
    experiment = config.load(file, shell.Settings).experiment
    text = TEXT[: TEXT.index("[model]")]
    frozen.freeze(text, experiment, stages.Run(), "code")
    make(file, f"1989010100/{made}")
    if refused:
        with pytest.raises(UserError, match=f"{made} depends on it"):
            frozen.freeze(text + more, experiment, stages.Run(), "code")
    else:
        frozen.freeze(text + more, experiment, stages.Run(), "code")


@pytest.mark.parametrize(("made", "more"), [
    ("background/m0001.nc", "[initial]\nevery_hours = 12"),
    ("background/m0001.nc", "[grid]\nnlat = 32\npoles = false"),
    ("background/m0001.nc", "[experiment]\nseed = 1"),
    ("departures.nc", '[relaxation]\nmethod = "rtpp"\n[analysis]\ntile = 4'),
    ("departures.nc", "[neural]\nhumidity_below_hpa = 0.0"),
])
def test_a_setting_that_is_written_out_at_its_default_has_not_changed(file, made, more):
    experiment = config.load(file, shell.Settings).experiment
    head = TEXT[: TEXT.index("[model]")]
    if "[neural]" in more:
        head += NEURAL
        more = head + "humidity_below_hpa = 0.0\n"
    elif "[experiment]" in more:
        more = head.replace("[experiment]", more)
    else:
        more = head + more
    run = stages.run_of(head, "e")
    frozen.freeze(head, experiment, run, "code")
    make(file, f"1989010100/{made}")
    frozen.freeze(more, experiment, run, "code")
    frozen.freeze(head, experiment, run, "code")


def test_another_program_is_refused_once_its_stage_has_made_something(file, monkeypatch):
    monkeypatch.syspath_prepend(file.parent)
    lay_package(file.parent, "mine.analysis", 'PROGRAM = PROGRAMS["letkf_mpi.analysis"]')
    freeze(file)
    make(file, "1989010100/observations.nc")
    other = '[run]\nanalysis = "mine.analysis"\n[relaxation]'
    freeze(file, "[relaxation]", other)
    freeze(file)
    make(file, "1989010100/departures.nc")
    with pytest.raises(UserError, match=r"\[run\] analysis: this experiment was begun with its default, the file now"):
        freeze(file, "[relaxation]", other)
    sys.modules.pop("mine_analysis_program", None)


def test_an_experiment_begun_with_the_setting_that_moved_goes_on(file):
    file.write_text(TEXT + '[run]\nanalysis = "letkf_mpi.analysis"\n')
    shell.main([str(file), "--freeze", "code"])
    old = kept(file).read_text().replace('[run]\nanalysis = "letkf_mpi.analysis"', "")
    kept(file).write_text(old.replace("[experiment]", '[experiment]\nanalysis = "letkf_mpi.analysis"'))
    make(file, "1989010100/departures.nc")
    shell.main([str(file), "--freeze", "code"])
    assert kept(file).read_text().endswith(file.read_text())


def test_who_went_on_with_the_same_file_and_code_is_not_asked_again(file, monkeypatch):
    freeze(file)
    monkeypatch.setattr(shell.validation, "validate", None)
    freeze(file)
    with pytest.raises(TypeError):
        shell.main([str(file), "--freeze", "other code"])


def test_stages_depend_on_what_they_begin_with():
    assert stages.depending_on("experiment", "members", stages.Run()) == ["initial", *stages.STAGES]
    assert stages.depending_on("training", "epochs", stages.Run()) == []
