"""Decoding against NCEP's own library and against an independent decoder."""

import json

import numpy as np
import pytest
from pybufrkit.decoder import Decoder, generate_bufr_message

from obsproc import inventory
from obsproc.bufr.files import read_file

FILES = ("prepqm89010106", "prepqm89010112", "prepqm89010118", "ADPUPA.prepbufr.110msg",
         "gdas.t12z.acft_profiles.prepbufr", "gdas.t12z.sfcshp.prepbufr")
SUM_ROUNDING = 0.5001e-4  # the reference sums are written with four decimals


@pytest.mark.parametrize("name", FILES)
def test_counts_and_sums_are_those_of_ncep_library(samples, name):
    golden = json.loads((samples / "prepbufr/golden/sums.json").read_text())[name]
    file = read_file(samples / "prepbufr" / name, inventory.WANTED, accept_truncated=True)
    ours = json.loads(inventory.as_json(file))[name]
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


FIXTURES = ("gdas2020110112_adpupa_3msg.prepbufr", "gdas2020110112_sfcshp_1msg.prepbufr",
            "prepqm89010112_1msg_per_type.prepbufr")


@pytest.mark.parametrize("name", FIXTURES)
def test_every_value_is_that_of_pybufrkit(samples, name):
    """All fields of all subsets, deeper events included, in the order of the file."""
    path = samples / "prepbufr/fixtures" / name
    theirs = _values_by_pybufrkit(path.read_bytes())
    for kind, reports in read_file(path).reports.items():
        ours = _values_of(reports)
        assert set(ours) == set(theirs[kind])
        for mnemonic, values in ours.items():
            np.testing.assert_allclose(values, theirs[kind][mnemonic], rtol=0, atol=1e-9,
                                       err_msg=f"{kind} {mnemonic}")


# Of these groups in the header we keep the first: weather, cloud layers and swells beyond it have no column.
REPEATED_GROUPS = {"PRWE", "VSSO", "CLAM", "CLTP", "HOCB", "HOCT", "DOSW", "HOSW", "POSW"}


def _values_of(reports) -> dict[str, np.ndarray]:
    """mnemonic -> all values that are not missing, in the order of the file."""
    found = {name: values for name, values in reports.header.items() if values.dtype.kind == "f"}
    for name, values in reports.level.items():
        events = next((e for e in reports.events.values() if name in e.columns), None)
        if events is None:
            found[name] = values
        else:
            level = np.concatenate([np.arange(len(values)), events.level])
            depth = np.concatenate([np.zeros(len(values)), events.depth])
            found[name] = np.concatenate([values, events.columns[name]])[np.lexsort((depth, level))]
    found = {name: values[np.isfinite(values)] for name, values in found.items() if name not in REPEATED_GROUPS}
    return {name: values for name, values in found.items() if values.size}


def _values_by_pybufrkit(data: bytes) -> dict[str, dict[str, list[float]]]:
    """The same by message type, decoded by pybufrkit."""
    found: dict[str, dict[str, list[float]]] = {}
    for message in generate_bufr_message(Decoder(), data):
        if message.data_category.value == 11:
            continue
        template = message.template_data.value
        kind = template.template.members[1].name.split()[0]
        columns = found.setdefault(kind, {})
        for descriptors, values in zip(template.decoded_descriptors_all_subsets,
                                       template.decoded_values_all_subsets, strict=True):
            for descriptor, value in zip(descriptors, values, strict=True):
                name = getattr(descriptor, "name", "").split(" ")[0]
                if isinstance(value, (int, float)) and _is_value(descriptor.id, name):
                    columns.setdefault(name, []).append(float(value))
    return found


def _is_value(descriptor: int, name: str) -> bool:
    """Neither a replication count nor padding."""
    return descriptor // 1000 != 31 and descriptor != 63255 and bool(name) and name not in REPEATED_GROUPS
