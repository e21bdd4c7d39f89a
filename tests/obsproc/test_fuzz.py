"""The inner loop under sanitizers: seeds made from real files, and some seconds of seeded mutations of them.

`make -C tests/fuzz fuzz` is guided by coverage and longer, `make -C tests/fuzz drive RUNS=10000000` only longer.
"""

import os
import subprocess
from pathlib import Path

import pytest

from tests.fuzz import seed

SOURCES = Path(seed.__file__).parent
RUNS = 15_000
COMPILER = os.environ.get("CC", "cc")
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@pytest.fixture(scope="module")
def seeds(samples, tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("seeds")
    prepbufr = samples / "prepbufr"
    seed.write(folder, [*sorted((prepbufr / "fixtures").iterdir()), prepbufr / "NC002003"])
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def driver(tmp_path_factory) -> Path:
    """The harness with its driver, under sanitizers where the compiler has them."""
    program = tmp_path_factory.mktemp("driver") / "driver"
    command = [COMPILER, "-std=c11", "-g", "-O1", *(str(SOURCES / name) for name in ("driver.c", "decode_fuzzer.c")),
               "-o", str(program)]
    if subprocess.run([*command, *SANITIZERS], capture_output=True).returncode:
        subprocess.run(command, check=True)
    return program


def run(driver, folder, number, runs, files):
    return subprocess.run([str(driver), str(number), str(runs), *map(str, files)], cwd=folder, capture_output=True,
                          text=True)


def test_every_message_type_of_the_fixtures_gives_a_message_and_a_subset(seeds):
    assert len(seeds) >= 20 and len({path.read_bytes() for path in seeds}) == len(seeds)


def test_mutants_neither_crash_nor_write_other_rows_than_they_counted(driver, seeds, tmp_path):
    done = run(driver, tmp_path, 1, RUNS, seeds)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"{RUNS} runs of {len(seeds)} seeds" in done.stdout and not (tmp_path / "crash").exists()


def test_a_harness_that_dies_leaves_the_input(seeds, tmp_path):
    """So that a finding can be looked at: here by a harness that dies of every input that begins as the third does."""
    third = seeds[2].read_bytes()
    (tmp_path / "dies.c").write_text(
        "#include <stdint.h>\n#include <stdlib.h>\n#include <string.h>\n"
        f"static const uint8_t start[] = {{{', '.join(map(str, third[:64]))}}};\n"
        "int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)\n"
        "{ if (n >= 64 && !memcmp(p, start, 64)) abort(); return 0; }\n")
    program = tmp_path / "dies"
    subprocess.run([COMPILER, "-std=c11", str(SOURCES / "driver.c"), str(tmp_path / "dies.c"), "-o", str(program)],
                   check=True)
    done = run(program, tmp_path, 1, 10, [seeds[2]])
    assert done.returncode != 0 and (tmp_path / "crash").read_bytes() == third[: 1 << 14]
