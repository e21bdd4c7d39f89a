"""The compiled part; all else stands in setup.cfg.

setuptools takes extensions from setup.py, or from a pyproject.toml that holds the whole project.
"""

from setuptools import Extension, setup

setup(ext_modules=[
    # Optional: without a C compiler the NumPy definition decodes.
    Extension("obsproc._decode", ["obsproc/_decode.c"], depends=["obsproc/_decode.h"], extra_compile_args=["-O3"],
              optional=True),
])
