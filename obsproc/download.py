"""One file over HTTP, however the network behaves: nothing under its name but the whole of it.

What comes is kept beside the file, in `.NAME.fetch`, with what the server said of it in `.NAME.fetch.json`. A transfer
that was cut off goes on from there (Range), where the server says that the file is still the same (If-Range). A whole
one has the length that the server told, its checksum where it told one, and stands the `check` of who asked for it;
then it is renamed. What fails for a while (no connection, silence, 429, 5xx, an end before the end) is tried again
after a pause that doubles, or as long as the server asks (Retry-After); what will not get better is told at once.

Checksums: `Repr-Digest` or `Digest` of sha-256 (RFC 9530 and 3230), `x-amz-checksum-sha256`, and S3's ETag, which is
the MD5 of an object that was put there in one piece.
"""

import base64
import fcntl
import hashlib
import math
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import msgspec

from contracts import netcdf, paths
from contracts.errors import UserError, brief
from obsproc.config import Fetch

CHUNK, MEGABYTE = 2**16, 1e6
FOR_A_WHILE = (408, 425, 429, 500, 502, 503, 504)


class NotThere(UserError):
    """The server has no such file."""


class Busy(UserError):
    """Another process is fetching the same file."""


class _Again(Exception):
    """What may go better the next time, perhaps after some seconds."""

    def __init__(self, what: str, after: float = 0.0):
        super().__init__(what)
        self.after = after


class _Begun(msgspec.Struct, frozen=True):
    """What the server said of a file that is kept in part."""

    url: str
    validator: str = ""  # a strong ETag, or a date
    size: int | None = None
    digests: dict[str, str] = {}  # hexadecimal, by algorithm


def part_of(path: Path) -> Path:
    """Where the beginning of a file is kept."""
    return path.with_name(f".{path.name}.fetch")


def download(url: str, path: Path, chosen: Fetch, check: Callable[[Path], None], tries: int | None = None,
             seconds: float = math.inf) -> int:
    """Bring the file at `url` to `path`, each try within so many `seconds`; returns its bytes.

    Raises NotThere, Busy, or UserError naming the URL, what was expected and what came; what came in part stays for
    the next call. `check` raises UserError where a whole file is not what it should be.
    """
    paths.folder(path.parent)
    part, tries = part_of(path), tries or chosen.tries
    with _alone(part, url):
        for attempt in range(tries):
            try:
                begun = _transfer(url, part, chosen, time.monotonic() + seconds)
                _refuse_other(part, begun, check)
                break
            except _Again as error:
                if attempt + 1 == tries:
                    raise UserError(f"{url}: {error}; tried {tries} time(s), and {part.stat().st_size} bytes are kept: "
                                    "the same command goes on from there") from None
                time.sleep(min(max(error.after, chosen.first_pause_seconds * 2**attempt), chosen.longest_pause_seconds))
        size = part.stat().st_size
        with paths.atomic(path) as partial:
            os.replace(part, partial)
        _note(part).unlink(missing_ok=True)
    return size


@contextmanager
def _alone(part: Path, url: str) -> Iterator[None]:
    """Hold the part against other processes; its time of change tells when the file was asked for last."""
    with open(part, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"{url}: another process is fetching it to {part}") from None
        os.utime(part)
        yield


def _transfer(url: str, part: Path, chosen: Fetch, until: float) -> _Begun:
    """Bring the rest of a file, or all of it; `until` on the monotonic clock."""
    begun = _read_note(part, url)
    have = part.stat().st_size if begun.validator else 0
    headers = {"User-Agent": f"{netcdf.version()} (obsproc fetch)", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": begun.validator}
    try:
        with urlopen(Request(url, headers=headers), timeout=chosen.timeout_seconds) as response:
            if response.status == 206 and _first_byte(response) != have:
                _begin_anew(part)
                raise _Again(f"the server sent another part than that from byte {have} on")
            if response.status != 206:
                have, begun = 0, _said(url, response)
            _write_note(part, begun)
            _append(response, part, have, chosen, until)
    except HTTPError as error:
        raise _refused(url, error, part) from None
    except (URLError, HTTPException, OSError) as error:
        raise _Again(f"no answer to the end ({brief(getattr(error, 'reason', None) or error)})") from None
    size = part.stat().st_size
    if begun.size is not None and size != begun.size:
        if size > begun.size:
            _begin_anew(part)
        raise _Again(f"ended after {size} of {begun.size} bytes")
    return begun


def _append(response: Any, part: Path, have: int, chosen: Fetch, until: float) -> None:
    os.truncate(part, have)
    with open(part, "ab", buffering=0) as file:
        while chunk := response.read1(CHUNK):
            have += len(chunk)
            if have > chosen.largest_mb * MEGABYTE:
                file.truncate(0)
                raise UserError(f"{response.url}: has more than {chosen.largest_mb:g} MB; where that is right, set "
                                "[fetch] largest_mb")
            try:
                file.write(chunk)
            except OSError as error:
                raise UserError(f"{part}: could not be written ({error.strerror}); check the space left on the disk "
                                "and whether you may write to the folder") from None
            if time.monotonic() > until:
                raise _Again(f"the time for it was up after {have} bytes")


def _refused(url: str, error: HTTPError, part: Path) -> Exception:
    """What an answer that is no file means."""
    if error.code in (404, 410):
        return NotThere(f"{url}: the server has no such file ({error.code}); check the time, and [fetch] archives")
    if error.code in (401, 403, 407):
        return UserError(f"{url}: the server lets nobody in without a login ({error.code}); fetch the file by hand, to "
                         f"where [observations] files expects it, or name another archive in [fetch]")
    if error.code == 416:  # it ended before what is kept
        _begin_anew(part)
        return _Again("the file has become shorter than what was kept of it")
    if error.code in FOR_A_WHILE:
        asked = error.headers.get("Retry-After", "")
        return _Again(f"the server answered {error.code} {error.reason}", float(asked) if asked.isdecimal() else 0.0)
    return UserError(f"{url}: the server answered {error.code} {error.reason}, expected the file; check the URL")


def _refuse_other(part: Path, begun: _Begun, check: Callable[[Path], None]) -> None:
    """Begin anew where a whole file is not what the server told, or not what it should be."""
    for name, expected in begun.digests.items():
        with open(part, "rb") as file:
            found = hashlib.file_digest(file, name).hexdigest()
        if found != expected:
            _begin_anew(part)
            raise _Again(f"its {name} is {found[:16]}…, the server told {expected[:16]}…")
    try:
        check(part)
    except UserError as error:
        _begin_anew(part)
        said = str(error).removeprefix(f"{part}: ").replace(str(part), "it")
        raise _Again(f"what came is no such file: {said}") from None


def _said(url: str, response: Any) -> _Begun:
    """What the headers tell of a file."""
    headers = response.headers
    etag, length = headers.get("ETag", ""), headers.get("Content-Length", "")
    validator = etag if etag.startswith('"') else headers.get("Last-Modified", "")
    return _Begun(url, validator, int(length) if length.isdecimal() else None, _digests(headers))


def _digests(headers: Any) -> dict[str, str]:
    found = {}
    said = " ".join(headers.get(name, "") for name in ("Repr-Digest", "Digest"))
    told = [headers.get("x-amz-checksum-sha256", ""), *re.findall(r"sha-256=:?([A-Za-z0-9+/=]+)", said, re.IGNORECASE)]
    for text in filter(None, told):
        try:
            found["sha256"] = base64.b64decode(text, validate=True).hex()
        except ValueError:
            continue
    plain = headers.get("x-amz-server-side-encryption", "AES256") == "AES256"  # else the ETag is no MD5
    if headers.get("Server") == "AmazonS3" and plain and re.fullmatch(r'"[0-9a-f]{32}"', headers.get("ETag", "")):
        found["md5"] = headers["ETag"].strip('"')
    return {name: text for name, text in found.items() if len(text) == 2 * hashlib.new(name).digest_size}


def _first_byte(response: Any) -> int:
    """At which byte a part of a file begins; -1 where the server does not say."""
    found = re.fullmatch(r"bytes (\d+)-\d*/.*", response.headers.get("Content-Range", ""))
    return int(found[1]) if found else -1


def _begin_anew(part: Path) -> None:
    os.truncate(part, 0)
    _note(part).unlink(missing_ok=True)


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _write_note(part: Path, begun: _Begun) -> None:
    with paths.atomic(_note(part)) as partial:
        partial.write_bytes(msgspec.json.encode(begun))


def _read_note(part: Path, url: str) -> _Begun:
    """What was said of the file that is kept in part; nothing where it was another's."""
    try:
        begun = msgspec.json.decode(_note(part).read_bytes(), type=_Begun)
    except (OSError, msgspec.MsgspecError):
        return _Begun(url)
    return begun if begun.url == url else _Begun(url)
