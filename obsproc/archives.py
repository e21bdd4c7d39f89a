"""Where observations can be had over the network: names and patterns of URLs, ours in `archives.toml` and a user's own.

    [mine]
    title = "our own mirror"
    url = "https://data.example.org/%Y/gdas.%Y%m%d.t%Hz.prepbufr.nr"

Ours carry the document that they are from and say that they were not tried.
"""

import os
from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from importlib import resources
from pathlib import Path

import msgspec

from contracts import texts
from contracts.config import Section
from contracts.errors import UserError, unknown

SCHEMES = ("https://", "http://")


class Archive(Section, frozen=True):
    """One entry; `url` has strftime codes of the analysis time and $NAMEs of the environment."""

    url: str
    title: str = ""
    first: datetime | None = None  # time
    login: bool = False  # it lets in who has an account
    document: str = ""  # where the URL is from
    looked_up: date | None = None
    tried: str = ""

    def __post_init__(self):
        if not self.url.startswith(SCHEMES):
            raise ValueError(f"url must begin with {' or '.join(SCHEMES)}, got {self.url!r}")

    def at(self, time: datetime) -> str:
        """The URL of a time; raises UserError where it has none."""
        if self.first and time < self.first:
            raise UserError(f"{self.title or self.url}: begins at {self.first:%Y-%m-%d %H} UTC, asked for is "
                            f"{time:%Y-%m-%d %H}; take another archive")
        url = time.strftime(os.path.expandvars(self.url))
        if "$" in url:
            raise UserError(f"{url}: an environment variable in this URL is not set; set it, or write what it is")
        return url


@lru_cache(8)
def known(more: str = "") -> Mapping[str, Archive]:
    """All archives by name, those of a user's file before ours; raises UserError where that is none."""
    ours = _read(resources.files("obsproc").joinpath("archives.toml").read_text(), "archives.toml")
    if not more:
        return ours
    path = Path(os.path.expandvars(more)).expanduser()
    try:
        return {**ours, **_read(texts.read(path), str(path))}
    except OSError as error:
        raise UserError(f"{path}: no such file of archives ({error.strerror}); check [fetch] more") from None


def named(name: str, more: str = "") -> Archive:
    """An archive by its name, or by a URL pattern; raises UserError where there is none."""
    if name.startswith(SCHEMES):
        return Archive(name)
    archives = known(more)
    if name not in archives:
        raise UserError(f"[fetch] {unknown('archive', name, archives)}; python -m obsproc fetch --list tells of them")
    return archives[name]


def told(more: str = "") -> str:
    """What is known of all archives, for a person."""
    lines = []
    for name, archive in known(more).items():
        said = ["needs a login"] * archive.login + [archive.tried] * bool(archive.tried)
        if archive.document:
            said.append(f"from {archive.document}, looked up {archive.looked_up}")
        lines += [f"{name}: {archive.title}", f"    {archive.url}", *(f"    {'; '.join(said)}" for _ in said[:1])]
    return "\n".join(lines)


def _read(text: str, where: str) -> dict[str, Archive]:
    try:
        return msgspec.convert(texts.table(text, where), dict[str, Archive])
    except msgspec.ValidationError as error:
        raise UserError(f"{where}: is no file of archives ({error})") from None
