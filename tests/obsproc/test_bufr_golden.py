"""Decoding against NCEP's own library and against an independent decoder."""

import json

import numpy as np
import pytest

from obsproc import inventory
from obsproc.bufr.files import read_file
from tests.obsproc.golden import FIXTURES, values_by_pybufrkit, values_of

FILES = ("prepqm89010106", "prepqm89010112", "prepqm89010118", "ADPUPA.prepbufr.110msg",
         "gdas.t12z.acft_profiles.prepbufr", "gdas.t12z.sfcshp.prepbufr")
SUM_ROUNDING = 0.5001e-4  # the reference sums are written with four decimals


@pytest.mark.parametrize("name", FILES)
def test_counts_and_sums_are_those_of_ncep_library(samples, name):
    golden = json.loads((samples / "prepbufr/golden/sums.json").read_text())[name]
    file = read_file(samples / "prepbufr" / name, inventory.WANTED, accept_truncated=True)
    ours = json.loads(inventory.as_json([file]))[name]
    assert ours["sha256"] == golden["sha256"]
    assert list(ours["types"]) == list(golden["types"])
    for kind, expected in golden["types"].items():
        found = ours["types"][kind]
        assert (found["subsets"], found["levels"]) == (expected["subsets"], expected["levels"])
        assert set(found["vars"]) == set(expected["vars"])
        for mnemonic, statistics in expected["vars"].items():
            assert found["vars"][mnemonic]["n"] == statistics["n"], mnemonic
            assert found["vars"][mnemonic]["sum"] == pytest.approx(statistics["sum"], abs=SUM_ROUNDING, rel=1e-13)
            for bound in ("min", "max"):
                assert found["vars"][mnemonic][bound] == pytest.approx(statistics[bound], abs=1e-9), mnemonic


def test_golden_file_lists_the_files_tested_here(samples):
    assert set(json.loads((samples / "prepbufr/golden/sums.json").read_text())) == set(FILES)


@pytest.mark.parametrize("name", FIXTURES)
def test_every_value_is_that_of_pybufrkit(samples, name):
    """All fields of all subsets, deeper events included, in the order of the file."""
    path = samples / "prepbufr/fixtures" / name
    theirs = values_by_pybufrkit(path.read_bytes())
    for kind, reports in read_file(path).reports.items():
        ours = values_of(reports)
        assert set(ours) == set(theirs[kind])
        for mnemonic, values in ours.items():
            np.testing.assert_allclose(values, theirs[kind][mnemonic], rtol=0, atol=1e-9,
                                       err_msg=f"{kind} {mnemonic}")


