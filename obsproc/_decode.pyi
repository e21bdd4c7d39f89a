"""The compiled inner loop; `_decode.c` says what the arguments are."""

import numpy as np

Program = tuple[np.ndarray, np.ndarray, np.ndarray, bool, int]

def split(data: bytes, first: np.ndarray, last: np.ndarray, count: np.ndarray, start: np.ndarray,
          end: np.ndarray, /) -> tuple[int, int] | None: ...
def count(program: Program, data: bytes, start: np.ndarray, end: np.ndarray, rows: np.ndarray,
          repeated: np.ndarray, /) -> int: ...
def write(program: Program, data: bytes, start: np.ndarray, end: np.ndarray, rows: np.ndarray, first_report: int,
          reports: int, levels: int, columns: list[tuple[np.ndarray, np.ndarray | None]],
          stacks: list[tuple[np.ndarray, np.ndarray, np.ndarray]], /) -> int: ...
