"""Decode a PREPBUFR file with ecCodes, which knows nothing of NCEP's tables: they are taken from our vocabulary into
its table files. Its tables hold for the whole process, so this is a program of its own:

    python -m tests.obsproc.eccodes_values FILE FOLDER      ->  {mnemonic: values that are not missing} as JSON
"""

import json
import os
import sys
from pathlib import Path

from obsproc import vocabulary
from obsproc.bufr.tables import Tables, fxy

VERSION = "12"  # of the master tables, as our messages say


def write_tables(tables: Tables, folder: Path) -> None:
    """ecCodes' element.table and sequence.def; it wants a replication where NCEP puts the sequence that marks it."""
    place = folder / "bufr/tables/0/wmo" / VERSION
    place.mkdir(parents=True)
    lines = ["#code|abbreviation|type|name|unit|scale|reference|width|crex_unit|crex_scale|crex_width"]
    for key, element in sorted(tables.elements.items()):
        kind = "string" if element.is_text else "double"
        lines.append("|".join(map(str, (fxy(key), element.mnemonic, kind, element.mnemonic, element.unit, element.scale,
                                        element.reference, element.width, element.unit, 0, 0))))
    (place / "element.table").write_text("\n".join(lines) + "\n")
    marks = {key: sequence.members for key, sequence in tables.sequences.items() if fxy(key).startswith("3600")}
    written = []
    for key, sequence in sorted(tables.sequences.items()):
        members = [member for item in sequence.members for member in marks.get(item, (item,))]
        written.append(f'"{fxy(key)}" = [ {", ".join(map(fxy, members))} ]')
    (place / "sequence.def").write_text("\n".join(written) + "\n")


def values(path: Path, names: list[str]) -> dict[str, list[float]]:
    import eccodes

    found: dict[str, list[float]] = {name: [] for name in names}
    with path.open("rb") as file:
        while (handle := eccodes.codes_bufr_new_from_file(file)) is not None:
            if eccodes.codes_get(handle, "dataCategory") != 11:
                eccodes.codes_set(handle, "skipExtraKeyAttributes", 1)
                eccodes.codes_set(handle, "unpack", 1)
                for name in names:
                    if eccodes.codes_is_defined(handle, name):
                        given = eccodes.codes_get_double_array(handle, name)
                        found[name] += given[given != eccodes.CODES_MISSING_DOUBLE].tolist()
            eccodes.codes_release(handle)
    return found


if __name__ == "__main__":
    import eccodes

    file, folder = Path(sys.argv[1]), Path(sys.argv[2])
    tables = vocabulary.ours().tables
    write_tables(tables, folder)
    eccodes.codes_set_definitions_path(f"{folder}{os.pathsep}{eccodes.codes_definition_path()}")
    names = [element.mnemonic for element in tables.elements.values() if not element.is_text]
    print(json.dumps(values(file, [name for name in names if not name.startswith(("DRF", "B"))])))
