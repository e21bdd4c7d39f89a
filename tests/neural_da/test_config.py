"""What is looked at before anything is made: light to import, the needs of a method, packages that are broken."""

import subprocess
import sys

import pytest

from tests.neural_da import case

NUDGING = """
[run]
analysis = "neural_da.analysis"
[model]
name = "persistence"
[neural]
method = "nudging"
analyses = 2
"""
SLOTS = "[slots]\nevery_hours = 3\nwindow_hours = [-3, 0]\n"


def test_to_look_at_settings_or_for_help_loads_no_torch():
    code = "import sys, neural_da.config, neural_da.analysis; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=case.CHECKOUT, check=False).returncode == 0


@pytest.mark.parametrize(("more", "words"), [
    ("", "add a section [slots]"),
    (SLOTS + "[retention]\nmembers_hours = 0\n", "2 times before, and [retention] members_hours = 0"),
    (SLOTS + "[retention]\nmembers_hours = 6\n", ""),
])
def test_what_the_experiment_does_not_leave_a_method_is_told_by_the_validation(tmp_path, more, words):
    made = case.make(tmp_path, NUDGING + more)
    looked = case.program(made.toml, "--validate", path=case.CHECKOUT / "tests/neural_da/example_package",
                          module="contracts")
    assert looked.returncode == bool(words) and words in looked.stderr, looked.stderr


def test_a_broken_package_is_told_where_its_method_is_chosen_and_nowhere_else(tmp_path):
    package = tmp_path / "broken-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[neural_da.methods]\nbroken = nowhere:Settings\n")
    for method, words in (("three_d_var", ""), ("broken", "nowhere:Settings: the method broken cannot be looked at (No "
                                                          "module named 'nowhere'); mend or remove the package")):
        text = NUDGING.replace("nudging", method).replace("analyses = 2", "threads = 2")
        made = case.make(tmp_path, text)
        looked = case.program(made.toml, "--validate", path=tmp_path, module="contracts")
        assert looked.returncode == bool(words) and words in looked.stderr, looked.stderr
        assert "Traceback" not in looked.stderr
