"""Every program looks at its settings in an experiment file, before anything is made of it.

Where its settings stand each program says in `programs`; they are imported here by name and in this process, which
costs less than a process for each.  What stands in the file and nobody reads is told: of another analysis, mostly.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from contracts import config, programs, stages
from contracts.errors import UserError
from contracts.programs import Program
from contracts.stages import Run


def validate(path: Path, document: Mapping[str, Any], run: Run) -> list[str]:
    """Names of the programs that looked at the file `path`, whose text is `document`; raises UserError with what they
    refuse, a sentence each."""
    asked = _asked(document, run)
    refused = dict.fromkeys(sentence for settings in dict.fromkeys(program.settings for program in asked.values())
                            for sentence in _refused(settings, path))
    if refused:
        raise UserError("\n".join(refused))
    return list(asked)


def unread(document: Mapping[str, Any], run: Run) -> list[str]:
    """A sentence for each stage about the sections of `document` that only other programs than the one that makes it
    would read: they change nothing."""
    known = programs.PROGRAMS if set(document) <= set(programs.sections()) else programs.every()
    return [sentence for stage in stages.LAUNCHED
            if (sentence := _unread(document, known, stage, stages.STAGES[stage].program(run)))]


def _unread(document: Mapping[str, Any], known: Mapping[str, Program], stage: str, chosen: str) -> str:
    others = {section: name for name, program in known.items() if program.makes == stage and name != chosen
              for section in program.sections}
    read = {section for name, program in known.items() if program.makes != stage or name == chosen
            for section in program.sections}
    idle = [section for section in document if section in others and section not in read]
    if not idle:
        return ""
    readers = ", ".join(dict.fromkeys(others[section] for section in idle))
    return (f"[{'], ['.join(idle)}] change{'s' * (len(idle) == 1)} nothing: read by {readers}, and [run] {stage} is "
            f"{chosen}; take {'it' if len(idle) == 1 else 'them'} out")


def structs(section: str) -> Iterator[type[msgspec.Struct]]:
    """Of our programs that read a section, the structs of what they read."""
    for program in programs.PROGRAMS.values():
        if section in program.sections:
            module, _, name = program.settings.partition(":")
            look = getattr(import_module(module), name)
            if isinstance(struct := look if isinstance(look, type) else import_module(module).Settings, type):
                yield struct


def _asked(document: Mapping[str, Any], run: Run) -> dict[str, Program]:
    """By name the programs of the stages, and those of the sections that none of them reads."""
    ours = set(document) <= set(programs.sections())
    known = programs.PROGRAMS if ours else programs.every()
    asked = {stage.program(run): stages.program_of(name, run) for name, stage in stages.STAGES.items()}
    left = set(document).difference(*(program.sections for program in asked.values()))
    return asked | {name: program for name, program in known.items() if left.intersection(program.sections)}


def _refused(settings: str, path: Path) -> Iterator[str]:
    """What is refused by the struct, or the function of a path, that `settings` names as "module:name"."""
    module, _, name = settings.partition(":")
    try:
        look: Any = getattr(import_module(module), name)
        if isinstance(look, type):
            config.load(path, look)
        else:
            look(path)
    except UserError as error:
        yield str(error)
    except ImportError as error:
        yield f"{path}: {settings}, which looks at its settings, cannot be imported ({error}); install what it needs"
