"""Write the seeds of the fuzz run: the programs of sample files, each with the data of a message or of one subset.

    python -m tests.fuzz.seed FOLDER FILE...

The layout of a seed is that of `decode_fuzzer.c`.
"""

import struct
import sys
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from obsproc.bufr import compiled, files
from obsproc.bufr.messages import scan
from obsproc.bufr.program import Program


def seed(program: Program, data: bytes, subsets: int) -> bytes:
    """Counts, operations, fields and data in the bytes that the harness reads."""
    packed = compiled._Packed.of(program, program.columns())
    operations, places, scales, level_is_report, stacks = packed.program
    head = struct.pack(">HHHBB", len(operations), len(places), subsets, stacks, level_is_report)
    body = b"".join(struct.pack(">BHBHbHHx", *operation) for operation in operations.tolist())
    fields = b"".join(
        struct.pack(">BbHHbx", in_level | is_text << 1, stack, offset, width, int(max(-128, min(127, reference))))
        for (in_level, is_text, stack, offset, width), (reference, _, _) in zip(places.tolist(), scales, strict=True))
    return head + body + fields + data


def seeds(path: Path) -> Iterator[bytes]:
    """A whole message and its first subset alone, for each message type of a file."""
    data = path.read_bytes()
    messages = scan(data, path, accept_truncated=True)
    reader = files._Reader(data, path, compiled.decode, 1, None)
    for program, group in reader.programs(messages, (0, 1), None):
        message = next((m for m in group if m.subsets), None)
        if message is not None:
            first = int.from_bytes(data[message.data_start : message.data_start + 2], "big")
            yield seed(program, data[message.data_start : message.data_start + first], 1)
            yield seed(program, data[message.data_start : message.data_end], message.subsets)


def write(folder: Path, paths: Iterable[Path]) -> None:
    """The seeds of some files, each in a file named by its content."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        for content in seeds(path):
            (folder / sha256(content).hexdigest()[:16]).write_bytes(content)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    write(folder, map(Path, sys.argv[2:]))
    print(f"{len(list(folder.iterdir()))} seeds in {folder}")
