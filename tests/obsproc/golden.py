"""All values of a file, by our decoder and by an independent one."""

import numpy as np
from pybufrkit.decoder import Decoder, generate_bufr_message

FIXTURES = ("gdas2020110112_adpupa_3msg.prepbufr", "gdas2020110112_sfcshp_1msg.prepbufr",
            "prepqm89010112_1msg_per_type.prepbufr")
# Of these groups in the header we keep the first: weather, cloud layers and swells beyond it have no column.
REPEATED_GROUPS = {"PRWE", "VSSO", "CLAM", "CLTP", "HOCB", "HOCT", "DOSW", "HOSW", "POSW"}


def values_of(reports) -> dict[str, np.ndarray]:
    """mnemonic -> all values that are not missing, in the order of the file."""
    found = {name: values for name, values in reports.header.items() if values.dtype.kind == "f"}
    for name, values in reports.level.items():
        events = next((e for e in reports.events.values() if name in e.columns), None)
        if events is None:
            found[name] = values
        else:
            level = np.concatenate([np.arange(len(values)), events.level])
            depth = np.concatenate([np.zeros(len(values)), events.depth])
            found[name] = np.concatenate([values, events.columns[name]])[np.lexsort((depth, level))]
    found = {name: values[np.isfinite(values)] for name, values in found.items() if name not in REPEATED_GROUPS}
    return {name: values for name, values in found.items() if values.size}


def values_by_pybufrkit(data: bytes) -> dict[str, dict[str, list[float]]]:
    """The same by message type, decoded by pybufrkit."""
    found: dict[str, dict[str, list[float]]] = {}
    for message in generate_bufr_message(Decoder(), data):
        if message.data_category.value == 11:
            continue
        template = message.template_data.value
        kind = template.template.members[1].name.split()[0]
        columns = found.setdefault(kind, {})
        for descriptors, values in zip(template.decoded_descriptors_all_subsets,
                                       template.decoded_values_all_subsets, strict=True):
            for descriptor, value in zip(descriptors, values, strict=True):
                name = getattr(descriptor, "name", "").split(" ")[0]
                if isinstance(value, (int, float)) and _is_value(descriptor.id, name):
                    columns.setdefault(name, []).append(float(value))
    return found


def _is_value(descriptor: int, name: str) -> bool:
    """Neither a replication count nor padding."""
    return descriptor // 1000 != 31 and descriptor != 63255 and bool(name) and name not in REPEATED_GROUPS
