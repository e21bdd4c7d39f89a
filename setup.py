"""The packages and the compiled parts; all else stands in setup.cfg.

setuptools takes extensions from setup.py, or from a pyproject.toml that holds the whole project; and only here can a
package be another folder: the corridor, `run`, is installed inside of `letkf`.
"""

from setuptools import Extension, find_packages, setup

ROOMS = ("contracts", "obsoperator", "networks", "obsproc", "model_server", "letkf_mpi", "neural_da", "verify", "letkf")

_LANES = [f"letkf_mpi/kernel/_lanes{part}.h"
          for part in ("", "_assemble", "_instructions", "_nearest", "_solve", "_taper", "_tile")]

# Optional: without a C compiler the NumPy definitions decode and solve.
setup(
    packages=[*find_packages(include=[f"{room}{inner}" for room in ROOMS for inner in ("", ".*")]), "letkf.run"],
    package_dir={"letkf.run": "run"},
    ext_modules=[
        Extension("obsproc._decode", ["obsproc/_decode.c"], depends=["obsproc/_decode.h"], extra_compile_args=["-O3"],
                  optional=True),
        # Square roots and comparisons as plain instructions, products and sums fused: what vectors need of -ffast-math.
        Extension("letkf_mpi.kernel._lanes", ["letkf_mpi/kernel/_lanes.c"], depends=_LANES, optional=True,
                  extra_compile_args=["-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]),
    ],
)
