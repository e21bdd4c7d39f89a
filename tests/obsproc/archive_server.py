"""An archive on the loopback interface, as well and as badly behaved as a test asks for."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Request"], None]


class Request(BaseHTTPRequestHandler):
    """One request; `server.archive` says what is answered."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        archive: Archive = self.server.archive
        archive.asked.append((self.path, self.headers.get("Range", "")))
        answers = archive.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        answer(self)
        self.close_connection = True

    def log_message(self, *args):
        pass

    def answer(self, body: bytes, status: int = 200, length: int | None = None, **headers: str) -> None:
        """Headers and body; `length` is what the header says, where it lies."""
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


@dataclass
class Archive:
    """`answers` are given one after the other, the last one for ever; `asked` are path and Range of each request."""

    url: str
    answers: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)

    @property
    def ranges(self) -> list[str]:
        return [asked for _, asked in self.asked]


@contextmanager
def serving() -> Iterator[Archive]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Request)
    server.daemon_threads = True
    archive = server.archive = Archive(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield archive
    finally:
        server.shutdown()
        server.server_close()


def etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


def sound(content: bytes, **headers: str) -> Answer:
    """As a good server does: from where it is asked, where the file is still the same."""
    def answer(request: Request) -> None:
        asked = request.headers.get("Range", "")
        if asked and request.headers.get("If-Range") == etag(content):
            first = int(asked.removeprefix("bytes=").rstrip("-"))
            if first >= len(content):
                request.answer(b"", 416)
                return
            request.answer(content[first:], 206, ETag=etag(content), **headers,
                           Content_Range=f"bytes {first}-{len(content) - 1}/{len(content)}")
        else:
            request.answer(content, ETag=etag(content), **headers)
    return answer


def cut_off(content: bytes, after: int) -> Answer:
    """The connection ends after so many bytes of what was asked for."""
    def answer(request: Request) -> None:
        asked = request.headers.get("Range", "")
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        more = {"Content_Range": f"bytes {first}-{len(content) - 1}/{len(content)}"} if asked else {}
        request.answer(content[first : first + after], 206 if asked else 200, len(content) - first, ETag=etag(content),
                       **more)
    return answer


def says(status: int, body: bytes = b"", length: int | None = None, **headers: str) -> Answer:
    return lambda request: request.answer(body, status, length, **headers)


def slow(content: bytes, piece: int, seconds: float) -> Answer:
    """A piece at a time."""
    def answer(request: Request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.send_header("ETag", etag(content))
        request.end_headers()
        for start in range(0, len(content), piece):
            try:
                request.wfile.write(content[start : start + piece])
            except OSError:
                return
            time.sleep(seconds)
    return answer
