"""Programs: every section has its readers, other packages bring theirs, and what is unknown is refused."""

import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

import msgspec
import pytest

from contracts import config, launcher, programs, stages
from contracts.errors import UserError
from contracts.programs import PROGRAMS, SHARED
from contracts.stages import STAGES
from tests.builders import lay_package

HEAD = '[experiment]\nname = "twin"\nstart = 1989-01-01T06:00:00Z\nend = 1989-01-01T18:00:00Z\n'
NAME = "mine.analysis"
DESCRIBED = 'PROGRAM = Program("mine.config:Settings", ("mine",), makes="analysis", carries=("memory.nc",))'


class Settings(config.Section):
    experiment: config.Experiment


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A folder on the path, from which nothing stays imported."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("mine_analysis_program", None)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_registers_all_sections_that_it_reads(name):
    module, _, attribute = PROGRAMS[name].settings.partition(":")
    assert callable(getattr(import_module(module), attribute))
    read = {item.name for item in msgspec.structs.fields(import_module(module).Settings)}
    assert set(PROGRAMS[name].sections) <= read <= set(programs.sections())
    for setting in (*PROGRAMS[name].free, PROGRAMS[name].threads or "grid"):
        assert setting.partition(".")[0] in {*SHARED, *PROGRAMS[name].sections}


def test_the_programs_of_the_stages_are_known():
    assert [stage.program(stages.Run()) for stage in STAGES.values()] == [
        "obsproc", "letkf_mpi.analysis", "model_server.forecast", "verify"]
    assert all(stage.program(stages.Run()) in PROGRAMS for stage in STAGES.values())


def test_a_section_of_a_package_is_known_once_it_is_installed(package):
    with pytest.raises(UserError, match=r"e.toml: unknown section 'mine'; known: experiment, grid, .*verify(;|$)"):
        config.decode(HEAD + "[mine]\n", Settings, "e.toml")
    lay_package(package, NAME, DESCRIBED)
    assert config.decode(HEAD + "[mine]\n", Settings, "e.toml").experiment.name == "twin"
    with pytest.raises(UserError, match=r"e.toml: unknown section 'mein'; known: .*verify, mine; did you mean 'mine'"):
        config.decode(HEAD + "[mein]\n", Settings, "e.toml")
    assert stages.program_of("analysis", stages.Run(analysis="mine.analysis")).carries == ("memory.nc",)


def test_an_unknown_program_is_refused_with_those_that_there_are(package):
    lay_package(package, NAME, DESCRIBED)
    for name in ("mine", "verify"):
        with pytest.raises(UserError, match=rf"^\[run\] analysis: there is no program '{name}'; known: "
                                            r"letkf_mpi.analysis, .*mine.analysis; a package brings another by"):
            stages.program_of("analysis", stages.Run(analysis=name))


def test_a_package_that_cannot_be_imported_is_named(package):
    lay_package(package, NAME, "import nowhere")
    with pytest.raises(UserError, match="the program mine.analysis cannot be looked at .No module named 'nowhere'"):
        stages.program_of("analysis", stages.Run(analysis="mine.analysis"))


def test_our_sections_are_known_without_a_look_at_other_packages(monkeypatch):
    monkeypatch.setattr(metadata, "entry_points", None)
    assert config.decode(HEAD + "[localization]\nhorizontal_km = 600.0\n", Settings, "e.toml")


def test_a_setting_that_moved_is_refused_with_its_new_place():
    text = HEAD + 'analysis = "mine.analysis"\n'
    with pytest.raises(UserError, match=r"^e.toml: \[experiment\] analysis is now \[run\] analysis: write there "
                                        "analysis = 'mine.analysis' and take it out here$"):
        config.decode(text, Settings, "e.toml")


@pytest.mark.parametrize(("program", "document", "threads"), [
    ("letkf_mpi.analysis", {}, 1), ("letkf_mpi.analysis", {"analysis": {"threads": 4}}, 4),
    ("model_server.forecast", {}, None), ("neural_da.analysis", {}, 1),
    ("neural_da.analysis", {"neural": {"threads": 8}}, 8),
])
def test_threads_are_those_of_the_file(program, document, threads):
    assert stages.threads(PROGRAMS[program], document) == threads


@pytest.mark.parametrize("name", ["PMIX_RANK", "PALS_RANKID"])
def test_a_copy_that_is_told_its_rank_only_is_refused(name):
    launcher.refuse_several("mine.analysis", environment={name: "0"})
    with pytest.raises(UserError, match=rf"a launcher started several \({name} is 3\): start it without"):
        launcher.refuse_several("mine.analysis", environment={name: "3"})


@pytest.mark.parametrize("name", ["PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "MV2_COMM_WORLD_SIZE",
                                  "JSM_NAMESPACE_SIZE"])
def test_copies_of_a_program_that_is_one_process_are_refused(name):
    launcher.refuse_several("mine.analysis", environment={})
    launcher.refuse_several("mine.analysis", environment={name: "1", "SLURM_NTASKS": "32"})
    with pytest.raises(UserError, match=rf"^mine.analysis is one process .* a launcher started 3 of them \({name}\)"):
        launcher.refuse_several("mine.analysis", environment={name: "3"})


def test_a_real_launcher_is_noticed():
    launch = [Path(sys.executable).parent / "mpiexec", "-n", "2", sys.executable, "-m"]
    done = subprocess.run([*launch, "neural_da.analysis"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "neural_da.analysis is one process with threads, and a launcher started 2 of them (PMI_SIZE)" in done.stderr
