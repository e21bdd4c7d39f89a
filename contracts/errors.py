"""Faults that the person at the keyboard can mend, told in one sentence: what, expected, got, what to do."""

from collections.abc import Iterable

MOST_SHOWN = 80  # characters of what somebody wrote


class UserError(Exception):
    """A fault outside the code (a setting, a file, a launcher); its text is the whole message to the user."""


class ContractError(UserError):
    """A file that does not keep its contract; the text names the file, what was expected and what came."""


def unknown(what: str, name: object, known: Iterable[object], of: str = "") -> str:
    """`unknown setting 'nlta'; known: nlat, nlon, poles; did you mean 'nlat'?`"""
    from difflib import get_close_matches  # here, because it is wanted only when something is wrong

    names = [str(each) for each in known]
    near = get_close_matches(str(name)[:MOST_SHOWN], names, 1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {what} {shown(name)}{of}; known: {', '.join(names) or 'none'}{meant}"


def brief(error: BaseException) -> str:
    """What a library says, at most a line of it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]


def of_memory(error: MemoryError) -> str:
    """What to tell of a process that may take no more."""
    return (f"needs more memory than this process may take ({brief(error)}); give the job more, or let it take less "
            "(fewer RANKS, a smaller [model] batch)")


def shown(value: object) -> str:
    """What somebody wrote, as Python would write it, at most so long that the sentence around it is still read."""
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}… ({len(text)} characters)"
