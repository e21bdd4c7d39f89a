"""`fetch`: the weights of a card from the address that it names, where they are not made by its command.

The file comes under a hidden name beside the card, goes on from there after a break, and gets its own name only when
its length and its sha256 are those of the card.
"""

import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from contracts import paths, program
from contracts.errors import UserError
from networks import card as cards
from networks.card import Card

log = logging.getLogger("networks.fetch")
PIECE = 1 << 20  # bytes
SILENCE = 30.0  # s, after which a connection is given up
WHOLE, PART = 200, 206  # answers of HTTP to a request for the rest of a file


def main(arguments: Sequence[str]) -> None:
    parser = program.parser(
        "python -m networks fetch",
        "Get the weights of a card from the address that it names, beside the card, and check them.\n"
        "After a break the same command goes on where it stood.",
        "python -m networks fetch weights/climax.toml",
    )
    parser.add_argument("card", type=Path, metavar="CARD.toml", help="the model card of the weights")
    fetch(parser.parse_args(arguments).card)


def fetch(path: Path) -> Path:
    """The weights of the card at `path`, beside it; raises UserError where they cannot be had or are others."""
    card, target = cards.read(path, path), path.with_suffix(".safetensors")
    _refuse_unknown(path, card)
    if target.exists() and _checksum(target) == card.sha256:
        log.info("%s: is there already", target)
        return target
    partial = target.with_name(f".{target.name}.fetched")
    with _alone(partial) as stream:
        _go_on(stream, card)
        _refuse_other(partial, stream, card)
        with paths.atomic(target) as flushed:
            os.replace(partial, flushed)
    log.info("%s: %d bytes from %s", target, card.bytes, card.address)
    return target


def _refuse_unknown(path: Path, card: Card) -> None:
    if not card.address:
        made = f"; {card.command} makes them" if card.command else ""
        raise UserError(f"{path}: names no address to fetch its weights from{made}")
    if not card.address.startswith(("http://", "https://")):
        raise UserError(f"{path}: expected an address of http or https, got {card.address}; copy the file yourself")
    if not (card.sha256 and card.bytes):
        raise UserError(f"{path}: says no sha256 or no bytes; nothing is fetched that cannot be checked")


@contextmanager
def _alone(partial: Path) -> Iterator[BinaryIO]:
    """The file of what came so far, at its end; raises UserError where another process is fetching it."""
    partial.parent.mkdir(parents=True, exist_ok=True)
    with open(partial, "ab+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"{partial}: is being fetched by another process; wait for it") from None
        yield stream


def _go_on(stream: BinaryIO, card: Card) -> None:
    """Append what is missing of the file; raises UserError where the server has none or another of that length."""
    if stream.tell() > card.bytes:
        stream.truncate(0)
    if stream.tell() == card.bytes:
        return
    there = stream.seek(0, os.SEEK_END)
    request = Request(card.address, headers={"Range": f"bytes={there}-"} if there else {})
    try:
        with urlopen(request, timeout=SILENCE) as answer:
            if there and answer.status == WHOLE:  # a server that gives no parts
                stream.truncate(0)
                there = 0
            _refuse_length(answer, there, card)
            while there <= card.bytes and (piece := answer.read(PIECE)):  # more than that is another file
                there += stream.write(piece)
        stream.flush()
    except HTTPError as error:
        raise UserError(f"{card.address}: {error.code} {error.reason}; check the address in the card") from None
    except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
        stream.flush()
        raise UserError(f"{card.address}: broke off after {stream.tell()} of {card.bytes} bytes "
                        f"({getattr(error, 'reason', error)}); the same command goes on there") from None


def _refuse_length(answer: HTTPResponse, there: int, card: Card) -> None:
    told = answer.headers.get("Content-Length")
    if told is not None and there + int(told) != card.bytes:
        raise UserError(f"{card.address}: expected {card.bytes} bytes, as the card says, got {there + int(told)}; "
                        "the file or the card is another one's")


def _refuse_other(partial: Path, stream: BinaryIO, card: Card) -> None:
    """Raises UserError where what came is not all, or not what the card was written for, which is then thrown away."""
    if stream.tell() < card.bytes:
        raise UserError(f"{card.address}: broke off after {stream.tell()} of {card.bytes} bytes; the same command goes "
                        "on there")
    found = _checksum(partial)
    if found != card.sha256:
        partial.unlink()
        raise UserError(f"{card.address}: expected weights of sha256 {card.sha256[:12]}…, as the card says, got "
                        f"{found[:12]}…; they are thrown away: the file or the card is another one's")


def _checksum(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
