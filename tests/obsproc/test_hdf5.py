"""What a file of others points to elsewhere is not read."""

import h5py
import numpy as np
import pytest

from contracts import check, hdf5, observations, state
from contracts.errors import UserError
from networks.data import era5, shards
from obsproc import ioda, table
from tests import builders


def linked(file, secret):
    file.create_group("MetaData")["latitude"] = h5py.ExternalLink(str(secret), "/x")


def stored_outside(file, secret):
    file.create_dataset("value", (3,), dtype="u1", external=[(str(secret), 0, 3)])


def virtual(file, secret):
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource(str(secret), "x", shape=(3,))
    file.create_virtual_dataset("value", layout)


@pytest.mark.parametrize(("point", "sentence"), [
    (linked, "MetaData/latitude is a link to another file"), (stored_outside, "value has its data in another file"),
    (virtual, "value has its data in another file")])
@pytest.mark.parametrize("read", [
    hdf5.refuse_elsewhere, ioda.import_file, table.read_file, observations.read, check.read_whole,
    lambda path: state.read(path, builders.space()), lambda path: shards.opened(path, builders.space()),
    lambda path: era5.hold(path)])
def test_a_file_that_points_to_another_is_refused(tmp_path, point, sentence, read):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = np.arange(3.0)
    path = tmp_path / "sent.nc"
    with h5py.File(path, "w") as file:
        point(file, secret)
    with pytest.raises(UserError, match=f"sent.nc: /{sentence}"):
        read(path)


def test_a_file_of_its_own_data_passes_also_with_links_inside_and_a_virtual_dataset_of_itself(tmp_path):
    path = tmp_path / "own.nc"
    with h5py.File(path, "w") as file:
        file["a/x"] = np.arange(3.0)
        file["b"] = h5py.SoftLink("/a/x")
        file["nothing"] = h5py.SoftLink("/nowhere")
        file["c"] = file["a"]  # the same group by two names
        layout = h5py.VirtualLayout((3,), "f8")
        layout[:] = h5py.VirtualSource(".", "a/x", shape=(3,))
        file.create_virtual_dataset("v", layout)
    hdf5.refuse_elsewhere(path)


def test_a_group_that_contains_itself_is_refused(samples, tmp_path):
    path = tmp_path / "self.nc"
    with h5py.File(path, "w") as file:
        file["a/b"] = file["/"]
    for each in (path, samples / "cases/hostile/hdf5_link_to_itself.nc"):
        with pytest.raises(UserError, match="is a group that contains itself"):
            hdf5.refuse_elsewhere(each)


def test_other_formats_and_sound_files_pass(samples, tmp_path):
    (tmp_path / "text").write_text("text")
    hdf5.refuse_elsewhere(tmp_path / "text")
    for path in sorted((samples / "cases/observations").glob("ioda_*.nc")):
        hdf5.refuse_elsewhere(path)


def test_a_damaged_file_is_one_sentence(tmp_path):
    path = tmp_path / "damaged.nc"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(UserError, match="is no readable HDF5 file"):
        hdf5.refuse_elsewhere(path)
