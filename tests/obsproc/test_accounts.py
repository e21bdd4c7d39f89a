"""Accounts add up: numbers of a file to rows and coordinates, rows of a table to fates."""

import json
import subprocess
import sys
from datetime import timedelta

import numpy as np
import pytest

from contracts import observations as contract
from contracts.observations import Source
from contracts.variables import Flag, Quantity
from obsproc import accounts, prepbufr
from obsproc.bufr.files import read_file
from tests.builders import TIME, observations

FILES = ("prepqm89010106", "prepqm89010112", "prepqm89010118", "ADPUPA.prepbufr.110msg", "gdas.t12z.sfcshp.prepbufr",
         "gdas.t12z.acft_profiles.prepbufr")
COMPUTED = {Quantity.wind_speed, Quantity.relative_humidity}  # of which PREPBUFR files have no number


@pytest.mark.parametrize("name", FILES)
def test_every_number_of_a_file_is_a_row_or_in_a_named_line(samples, name):
    """The numbers as NCEP's own library counts them."""
    golden = json.loads((samples / "prepbufr/golden/sums.json").read_text())[name]["types"]
    decoded = read_file(samples / "prepbufr" / name, prepbufr.WANTED, accept_truncated=True)
    assert set(decoded.reports) == set(golden)
    for kind, reports in decoded.reports.items():
        for mnemonic, (held, parts) in accounts.numbers(reports).items():
            expected = golden[kind]["vars"].get(mnemonic, {"n": 0})["n"]
            assert held == expected == sum(parts.values()), (kind, mnemonic)


def test_a_file_s_account_names_rows_and_coordinates(samples):
    result = run("inspect", samples / "prepbufr/prepqm89010112", "--account")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "ADPSFC POB 17528 8538 surface_pressure + 8990 pressure of a wind report" in lines
    assert "AIRCFT ZOB 2794 1404 height of a wind report + 1390 height of a level" in lines


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "obsproc", *map(str, arguments)], capture_output=True, text=True)


TABLE = observations(np.zeros(5), message_type=np.array([b"ADPUPA", b"ADPUPA", b"ADPUPA", b"AIRCFT", b"ADPUPA"]),
                     type=[120, 120, 120, 130, 120], quantity=[3, 3, 5, 3, 3], count=[1, 1, 1, 1, 2],
                     flag=[Flag.superobbed, Flag.superobbed, Flag.bad_mark, Flag.passed, Flag.passed])


def test_a_table_by_report_type_adds_up():
    lines = [line.split() for line in accounts.table(TABLE, by_type=True).splitlines()]
    assert lines == [
        ["message", "type", "quantity", "rows", "passed", "bad_mark", "superobbed"],
        ["ADPUPA", "120", "temperature", "3", "1", "0", "2"],
        ["ADPUPA", "120", "specific_humidity", "1", "0", "1", "0"],
        ["AIRCFT", "130", "temperature", "1", "1", "0", "0"],
        ["all", "5", "2", "1", "2"],
        ["from", "files", "4", "1", "1", "2"],
        ["means", "1", "1", "0", "0"]]


def test_the_account_of_a_written_table(tmp_path):
    path = tmp_path / "observations.nc"
    contract.write(path, TABLE, Source(TIME, (TIME - timedelta(hours=3), TIME + timedelta(hours=3))))
    result = run("account", path)
    assert result.returncode == 0 and result.stdout.rstrip() == accounts.table(TABLE, by_type=True)


def test_help_and_faults_of_the_account(tmp_path):
    assert "example:\n  python -m obsproc account" in run("account", "--help").stdout
    result = run("account", tmp_path / "observations.nc")
    assert result.returncode == 1 and "no such file" in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize("quantity", sorted(set(Quantity) - COMPUTED))
def test_every_quantity_comes_from_one_mnemonic(quantity):
    assert sum(quantity in quantities for quantities in accounts._ROWS_OF.values()) == 1
