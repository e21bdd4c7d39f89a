"""Speed of decoding PREPBUFR, all columns and events; in the same run the NumPy definition, earth2bufr, pybufrkit and,
where the environment variable NCEPLIBS_BUFR names its shared library, NCEPLIBS-bufr."""

import ctypes
import json
import os
import subprocess
import sys

import earth2bufr
import numpy as np
import pytest
from pybufrkit.decoder import Decoder, generate_bufr_message

from obsproc.bufr import compiled, reference
from obsproc.bufr.files import read_file
from tests.benchmarks import floors

FILES = ("prepqm89010112", "ADPUPA.prepbufr.110msg")
FIXTURES = ("prepqm89010112_1msg_per_type.prepbufr", "gdas2020110112_adpupa_3msg.prepbufr")
DECODERS = {"compiled": compiled.decode, "numpy": reference.decode}
LARGE = 100e6  # bytes


def measured(benchmark, path, rounds=20, **choices):
    """Read a file under the benchmark and note what that means in subsets and megabytes a second, by the median."""
    file = benchmark.pedantic(read_file, (path,), choices, rounds=rounds, warmup_rounds=1)
    benchmark.extra_info["bytes"] = floors.bytes_of_file(file)
    note(benchmark, sum(reports.subsets for reports in file.reports.values()), path)
    return file


def note(benchmark, subsets, path):
    assert subsets > 0
    if benchmark.stats:
        seconds = benchmark.stats.stats.median
        benchmark.extra_info |= {"subsets/s": round(subsets / seconds),
                                 "MB/s": round(path.stat().st_size / 1e6 / seconds, 1)}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("decoder", DECODERS)
def test_one_thread(benchmark, samples, name, decoder):
    benchmark.group = f"decode {name}, one thread"
    measured(benchmark, samples / "prepbufr" / name, threads=1, interpreter=DECODERS[decoder])


@pytest.mark.parametrize("name", FIXTURES)
@pytest.mark.parametrize("decoder", [*DECODERS, "pybufrkit"])
def test_beside_pybufrkit(benchmark, samples, name, decoder):
    benchmark.group = f"decode {name}"
    path = samples / "prepbufr/fixtures" / name
    if decoder in DECODERS:
        measured(benchmark, path, threads=1, interpreter=DECODERS[decoder])
        return

    def by_pybufrkit() -> int:
        messages = generate_bufr_message(Decoder(), path.read_bytes())
        return sum(message.n_subsets.value for message in messages if message.data_category.value != 11)

    note(benchmark, benchmark.pedantic(by_pybufrkit, rounds=3), path)


def rows_of_earth2bufr(path) -> int:
    return sum(batch.num_rows for batch in earth2bufr.read_bufr(str(path)))


@pytest.mark.parametrize("name", FILES)
def test_beside_earth2bufr(benchmark, samples, name):
    """Its Arrow batches have a row for each subset, and lists of levels in it; one thread."""
    benchmark.group = f"decode {name}, one thread"
    earth2bufr.set_num_threads(1)
    path = samples / "prepbufr" / name
    found = benchmark.pedantic(rows_of_earth2bufr, (path,), rounds=20, warmup_rounds=1)
    assert found == sum(reports.subsets for reports in read_file(path).reports.values())
    note(benchmark, found, path)


def subsets_of_nceplibs(library: ctypes.CDLL, path, unit: int = 20) -> int:
    """Subsets read, with the values and marks of their levels."""
    room, count = np.empty((255, 12)), 0
    place, date, found = ctypes.c_void_p(room.ctypes.data), ctypes.c_int(), ctypes.c_int()
    message_type = ctypes.create_string_buffer(9)
    library.open_f(unit, str(path).encode())
    library.openbf_f(unit, b"IN", unit)
    while library.ireadmg_f(unit, message_type, ctypes.byref(date), 9) == 0:
        while library.ireadsb_f(unit) == 0:
            for names in (b"SID XOB YOB DHR ELV TYP", b"CAT POB PQM QOB QQM TOB TQM ZOB UOB VOB WQM"):
                library.ufbint_f(unit, ctypes.byref(place), 12, 255, ctypes.byref(found), names)
            count += 1
    library.closbf_f(unit)
    library.close_f(unit)
    return count


@pytest.mark.skipif("NCEPLIBS_BUFR" not in os.environ, reason="NCEPLIBS_BUFR names no libbufr_4.so")
@pytest.mark.parametrize("name", FILES)
def test_beside_nceplibs(benchmark, samples, name):
    """By its C interface, a value of each level by its mnemonic, as its programs read."""
    benchmark.group = f"decode {name}, one thread"
    path, library = samples / "prepbufr" / name, ctypes.CDLL(os.environ["NCEPLIBS_BUFR"])
    found = benchmark.pedantic(subsets_of_nceplibs, (library, path), rounds=5)
    assert found == sum(reports.subsets for reports in read_file(path).reports.values())
    note(benchmark, found, path)


WHOLE = {  # what a process prints of a file: counts and sums
    "ours": ["-m", "obsproc", "inspect", "--json"],
    "earth2bufr": ["-c", "import earth2bufr, sys; print(sum(b.num_rows for b in earth2bufr.read_bufr(sys.argv[1])))"],
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("reader", WHOLE)
def test_whole_process(benchmark, samples, name, reader):
    benchmark.group = f"whole process, {name}"
    command = [sys.executable, *WHOLE[reader], str(samples / "prepbufr" / name)]
    benchmark.pedantic(subprocess.run, (command,), {"check": True, "capture_output": True}, rounds=5)


def test_memory_of_a_large_file_in_parts(benchmark, samples, tmp_path):
    """Peak resident memory of `inspect` of 100 MB, which reads them in parts, beside that of all at once."""
    benchmark.group = "memory of 100 MB"
    content = (samples / "prepbufr" / FILES[0]).read_bytes()
    path = tmp_path / "large"
    path.write_bytes(content * (2 if benchmark.disabled else -(-int(LARGE) // len(content))))
    found = {}
    for name, read in (("parts", "for part in files.read_in_parts(sys.argv[1], inventory.WANTED): del part"),
                       ("whole", "files.read_file(sys.argv[1], inventory.WANTED)")):
        # Of its own memory: the resident set that a system call tells may be that of the process it was started by.
        code = ("import re, sys\nfrom pathlib import Path\nfrom obsproc import inventory\n"
                "from obsproc.bufr import files\n"
                f"{read}\nprint(int(re.search(r'VmHWM:\\s*(\\d+)', Path('/proc/self/status').read_text())[1]) // 1024)")
        done = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True)
        found[name] = json.loads(done.stdout)
    benchmark.extra_info |= {f"MB, {name}": peak for name, peak in found.items()}
    assert benchmark.disabled or found["parts"] < 300 < found["whole"]
    benchmark.pedantic(lambda: None)


@pytest.mark.parametrize("threads", [1, 2])
def test_large_file(benchmark, samples, tmp_path, threads):
    """A file of 100 MB, as the modern ones are; two copies only where nothing is timed."""
    benchmark.group = "decode 100 MB"
    content = (samples / "prepbufr" / FILES[0]).read_bytes()
    path = tmp_path / "large"
    path.write_bytes(content * (2 if benchmark.disabled else -(-int(LARGE) // len(content))))
    measured(benchmark, path, rounds=5, threads=threads)


@pytest.mark.parametrize("name", FILES)
def test_cold_start(benchmark, samples, name):
    """From nothing to the first table: start of Python, imports, reading."""
    benchmark.group = "first result of a fresh process"
    code = f"from obsproc.bufr.files import read_file; read_file({str(samples / 'prepbufr' / name)!r})"
    benchmark.pedantic(subprocess.run, ([sys.executable, "-c", code],), {"check": True}, rounds=5)
