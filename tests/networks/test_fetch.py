"""Weights from an address: whole, in pieces after breaks, and never others than those of the card."""

from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import msgspec
import numpy as np
import pytest

from contracts.errors import UserError
from networks import card as cards
from networks import checkpoint as checkpoints
from networks import fetch
from networks.climax import emulator
from tests.networks import climax_builders as made


class Server(ThreadingHTTPServer):
    """Gives `content` at every path but /nothing; breaks off after `most` bytes of an answer; /endless has no end."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.most, self.parts, self.asked = b"", None, True, []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/small.safetensors"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_GET(self):
        asked = self.headers.get("Range", "bytes=0-")
        self.server.asked.append(asked)
        if self.path == "/nothing":
            self.send_error(404)
            return
        if self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            with suppress(ConnectionError):
                while True:
                    self.wfile.write(bytes(fetch.PIECE))
        first = int(asked.removeprefix("bytes=").rstrip("-")) if self.server.parts else 0
        rest = self.server.content[first:]
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: self.server.most])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with Server() as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def card(tmp_path, server):
    """A card alone in a folder; the server has its weights."""
    weights = tmp_path / "made" / "small.safetensors"
    card = checkpoints.write(weights, made.checkpoint(made.card(made.small_space())))
    server.content = weights.read_bytes()
    path = tmp_path / "here" / "small.toml"
    path.parent.mkdir()
    path.write_text(cards.to_toml(msgspec.structs.replace(card, address=server.address)))
    return path


def change(path, **fields):
    path.write_text(cards.to_toml(msgspec.structs.replace(cards.read(path, path), **fields)))


def only_the_card(path) -> bool:
    return [one.name for one in path.parent.iterdir() if not one.name.startswith(".")] == [path.name]


def test_the_weights_come_beside_their_card_and_load(card, server):
    fetch.main([str(card)])
    found = emulator.load(card.with_suffix(".safetensors")).weights
    for name, array in made.checkpoint(made.card(made.small_space())).weights.items():
        np.testing.assert_array_equal(found[name], array)
    assert {one.name for one in card.parent.iterdir()} == {"small.toml", "small.safetensors"}
    fetch.fetch(card)
    assert len(server.asked) == 1  # the second time they are there


def test_after_a_break_it_goes_on_where_it_stood(card, server):
    server.most = 5000
    with pytest.raises(UserError, match=r"broke off after 5000 of \d+ bytes.*the same command goes on there"):
        fetch.fetch(card)
    assert only_the_card(card)
    server.most = None
    assert fetch.fetch(card).read_bytes() == server.content
    assert server.asked == ["bytes=0-", "bytes=5000-"]


def test_a_server_that_gives_no_parts_gives_it_whole_again(card, server):
    server.most, server.parts = 5000, False
    with pytest.raises(UserError, match="broke off"):
        fetch.fetch(card)
    server.most = None
    assert fetch.fetch(card).read_bytes() == server.content


def test_other_bytes_of_the_same_length_are_thrown_away(card, server):
    right = server.content
    server.content = right[:-1] + bytes([right[-1] ^ 1])
    with pytest.raises(UserError, match="expected weights of sha256 .*thrown away"):
        fetch.fetch(card)
    assert [one.name for one in card.parent.iterdir()] == ["small.toml"]
    server.content = right
    assert fetch.fetch(card).read_bytes() == right


def test_a_file_of_another_length_is_refused_before_it_comes(card, server):
    server.content += b"more"
    with pytest.raises(UserError, match=r"expected (\d+) bytes, as the card says, got \d+"):
        fetch.fetch(card)
    assert only_the_card(card)


def test_a_file_without_an_end_is_left(card, server):
    change(card, address=server.address.replace("small.safetensors", "endless"))
    with pytest.raises(UserError, match="expected weights of sha256 .*thrown away"):
        fetch.fetch(card)
    assert [one.name for one in card.parent.iterdir()] == ["small.toml"]


@pytest.mark.parametrize(("fields", "said"), [
    ({"address": ""}, "names no address to fetch its weights from; python -m networks train small.toml makes them"),
    ({"address": "ftp://127.0.0.1/x"}, "expected an address of http or https, got ftp"),
    ({"bytes": 0}, "nothing is fetched that cannot be checked"),
    ({"address": "http://127.0.0.1:9/x"}, "http://127.0.0.1:9/x: broke off after 0 of"),
])
def test_a_card_that_says_too_little_is_refused(card, fields, said):
    change(card, command="python -m networks train small.toml", **fields)
    with pytest.raises(UserError, match=said):
        fetch.fetch(card)


def test_an_address_with_nothing_behind_it_is_said(card, server):
    change(card, address=server.address.replace("small.safetensors", "nothing"))
    with pytest.raises(UserError, match="404 Not Found; check the address in the card"):
        fetch.fetch(card)


def test_two_processes_do_not_write_the_same_file(card):
    with (
        fetch._alone(card.parent / ".small.safetensors.fetched"),
        pytest.raises(UserError, match="is being fetched by another process"),
    ):
        fetch.fetch(card)
