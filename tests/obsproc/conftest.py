"""What tests of several formats share."""

import pytest

from obsproc import ioda_export, prepbufr
from obsproc.bufr.files import read_file
from tests.obsproc.ioda_case import CYCLE, SOURCE


@pytest.fixture(scope="module")
def real(samples, tmp_path_factory):
    """A real cycle with errors, marks and backgrounds, and its IODA file."""
    reports = read_file(samples / "prepbufr/fixtures/gdas2020110112_adpupa_3msg.prepbufr", prepbufr.WANTED).reports
    table = prepbufr.candidates(reports["ADPUPA"], CYCLE).table
    path = tmp_path_factory.mktemp("ioda") / "real.nc"
    return table, path, ioda_export.export_file(path, table, SOURCE)
