"""The experiment file as its structs say: a table for each section, and a JSON Schema for editors.

What a setting means stands in the comment behind it in the code; names, defaults and ranges are the struct's own.
"""

import inspect
import re
import textwrap
import tokenize
from collections.abc import Iterator
from datetime import datetime
from importlib import import_module
from io import StringIO
from typing import Any, get_args, get_type_hints

import msgspec

from contracts import __main__ as corridor
from contracts import programs
from networks import kinds

HEAD = """# Settings

An experiment is one TOML file; every program reads its sections of it and refuses names that it does not know. A file
may stand on another one: `base = "other.toml"`. Editors that know JSON Schema find all of this in
<a href="experiment.schema.json">experiment.schema.json</a>.
"""
COLUMNS = ["| setting | default | | |", "|---|---|---|---|"]
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
INDENT = 4  # of a field in its struct


def sections() -> dict[str, Any]:
    """The type of each section by its name, in the order in which the programs read them."""
    found: dict[str, Any] = {}
    modules = (import_module(program.settings.partition(":")[0]) for program in programs.PROGRAMS.values())
    for struct in (corridor.Settings, *(module.Settings for module in modules)):
        for name, kind in get_type_hints(struct, include_extras=True).items():
            if list(structs(kind)):
                found.setdefault(name, kind)
    return found


def structs(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """The structs that a section can be: several where it has a method."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
    for inner in get_args(kind):
        yield from structs(inner)


def page() -> str:
    """settings.md"""
    lines = [HEAD]
    for name, kind in sections().items():
        lines += [f"## [{name}]", "", *(line for struct in structs(kind) for line in _table(struct, _chosen(struct)))]
    lines += ["## [network]", "", "What `networks train` trains: a kind, and the settings of that kind.", ""]
    for name in kinds.KINDS:
        lines += _table(kinds.module(name).Settings, f'kind = "{name}"')
    return "\n".join(lines)


def _chosen(struct: type[msgspec.Struct]) -> str:
    """The line that chooses this one of several structs, such as `method = "rtpp"`; empty where there is no choice."""
    how = struct.__struct_config__
    return f'{how.tag_field} = "{how.tag}"' if how.tag else ""


def _table(struct: type[msgspec.Struct], chosen: str) -> list[str]:
    said = re.sub(r"^\[\w+\]\s*", "", (inspect.getdoc(struct) or "").strip())
    comments, told = comments_of(struct), _properties(struct)
    rows = [f"| `{field.name}` | {_default(field)} | {_cell(_range(told[field.encode_name]))} | "
            f"{_cell(comments.get(field.name, ''))} |" for field in msgspec.structs.fields(struct)]
    return [*([f"### {chosen}", ""] if chosen else []), said, "", *(COLUMNS if rows else []), *rows, ""]


def _properties(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """By setting what JSON Schema says of it."""
    (_,), definitions = msgspec.json.schema_components([struct])
    return definitions[struct.__name__]["properties"]


def _range(told: dict[str, Any]) -> str:
    """What a setting can be: `one of`, its kind, its bounds."""
    if "enum" in told:
        return " or ".join(f"`{shown(value)}`" for value in told["enum"])
    if "anyOf" in told:
        return ", or ".join(dict.fromkeys(filter(None, map(_range, told["anyOf"]))))
    if "$ref" in told:
        return "a section of its own"
    bounds = [f"{sign} {told[name]:g}" for name, sign in BOUNDS.items() if name in told]
    kind = told.get("format", told.get("type", ""))
    return " ".join(["" if kind == "null" else kind, ", ".join(bounds)]).strip()


def comments_of(struct: type[msgspec.Struct]) -> dict[str, str]:
    """What stands behind each setting in the code, of the struct and those that it is made from."""
    found: dict[str, str] = {}
    for each in reversed(struct.__mro__):
        if each.__module__ not in ("builtins", "msgspec") and issubclass(each, msgspec.Struct):
            found |= _comments(inspect.getsource(each))
    return found


def _comments(source: str) -> dict[str, str]:
    """By field the comment at its end, and the lines of comments that go on below it."""
    found: dict[str, str] = {}
    name = ""
    for token in tokenize.generate_tokens(StringIO(textwrap.dedent(source)).readline):
        if token.type == tokenize.NAME and token.start[1] == INDENT and re.match(r"\s*\w+\s*:", token.line):
            name = token.string
        elif token.type == tokenize.COMMENT and name:
            found[name] = f"{found.get(name, '')} {token.string.lstrip('# ')}".strip()
    return found


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if isinstance(value, datetime):
        value = f"{value:%Y-%m-%dT%H:%M:%SZ}"
    return "none" if value is None else f"`{_cell(shown(value))}`"


def shown(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, msgspec.Struct):
        return str(value.__struct_config__.tag or "a section of its own")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(shown, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def schema() -> dict[str, Any]:
    """JSON Schema of an experiment file, draft 2020-12."""
    found = sections()
    parts, definitions = msgspec.json.schema_components(list(found.values()))
    properties = {"base": {"type": "string", "description": "an experiment file that this one stands on"},
                  "network": {"type": "object"}}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "experiment of letkf-mpi",
            "type": "object", "properties": properties | dict(zip(found, parts, strict=True)),
            "additionalProperties": False, "$defs": definitions}
