"""Speed of decoding PREPBUFR, all columns and events; the NumPy definition and pybufrkit in the same run."""

import subprocess
import sys

import pytest
from pybufrkit.decoder import Decoder, generate_bufr_message

from obsproc.bufr import compiled, reference
from obsproc.bufr.files import read_file

FILES = ("prepqm89010112", "ADPUPA.prepbufr.110msg")
FIXTURES = ("prepqm89010112_1msg_per_type.prepbufr", "gdas2020110112_adpupa_3msg.prepbufr")
DECODERS = {"compiled": compiled.decode, "numpy": reference.decode}
LARGE = 100e6  # bytes


def measured(benchmark, path, rounds=20, **choices):
    """Read a file under the benchmark and note what that means in subsets and megabytes a second, by the median."""
    file = benchmark.pedantic(read_file, (path,), choices, rounds=rounds, warmup_rounds=1)
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
