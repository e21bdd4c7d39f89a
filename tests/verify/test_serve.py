"""The page of the status: on the loopback address, by GET, with what the files say."""

import http.client
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser

import msgspec
import pytest

from contracts import errors, times
from contracts.variables import Quantity
from tests.verify import watched
from tests.verify.case import TIMES
from verify import serve, shown, status
from verify.summary import number


@pytest.fixture
def serving(tmp_path, monkeypatch):
    """Settings of a finished experiment and the port at which it is served."""
    _, settings = watched.finished(tmp_path, monkeypatch)
    with serve.server(settings, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield settings, server.server_port
        server.shutdown()
        thread.join()


def ask(port: int, path: str = "/", method: str = "GET", host: str = "127.0.0.1") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers={"Host": f"{host}:{port}"})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


class Texts(HTMLParser):
    def __init__(self, html: str):
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


def test_the_page_has_the_numbers_of_the_files(serving):
    settings, port = serving
    code, html = ask(port)
    page = Texts(html)
    assert code == 200 and "complete" in page.texts and times.name(TIMES[1]) in page.texts
    for cycle in status.of(settings).cycles:
        for name, found in cycle.departures.items():
            factor = shown.factor_of(Quantity[name])
            assert f"{number(factor * found.omb_rms)} / {number(factor * found.background_spread)}" in page.texts
    assert "meta" in page.tags and f'http-equiv="refresh" content="{serve.REFRESH_SECONDS}"' in html
    assert "script" not in page.tags


def test_the_status_and_the_metrics_are_served(serving):
    settings, port = serving
    code, text = ask(port, "/status.json")
    assert code == 200 and msgspec.json.decode(text, type=status.Status).state == "complete"
    assert 'letkf_cycles_finished{experiment="made"} 2' in ask(port, "/metrics")[1]


def test_the_report_is_there_once_it_was_made(serving):
    settings, port = serving
    assert ask(port, "/report.html")[0] == 404 and "No report yet" in ask(port)[1]
    status.report_file(settings).write_text("<p>the report</p>")
    assert ask(port, "/report.html") == (200, "<p>the report</p>") and 'href="/report.html"' in ask(port)[1]


@pytest.mark.parametrize("path", ["/experiment.toml", "/../made.toml", "/%2e%2e/made.toml", "//etc/passwd",
                                  "/report.html/..", "/status.json?x", "*"])
def test_other_paths_are_refused(serving, path):
    assert ask(serving[1], path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
def test_only_get_is_answered(serving, method):
    assert ask(serving[1], method=method)[0] == 405


def test_another_name_that_points_here_is_refused(serving):
    assert ask(serving[1], host="elsewhere.example")[0] == 403
    assert ask(serving[1], host="localhost")[0] == 200


def test_it_listens_on_the_loopback_address_only(serving):
    settings, port = serving
    with serve.server(settings, 0) as server:
        assert server.socket.getsockname()[0] == "127.0.0.1"
    own = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} | {"127.0.0.2"}
    for address in own - {"127.0.0.1"}:
        with pytest.raises(OSError):
            socket.create_connection((address, port), timeout=2)


def test_a_port_that_is_taken_is_said(serving):
    settings, port = serving
    with pytest.raises(errors.UserError, match=f"port {port} of 127.0.0.1 cannot be had .* choose another with --port"):
        serve.server(settings, port)
    with pytest.raises(errors.UserError, match="port 70000"):
        serve.server(settings, 70000)


def test_words_of_others_are_escaped(serving):
    settings, port = serving
    log = settings.experiment.folder.at(TIMES[0]).log("obsproc")
    log.write_text("2026-01-01T00:00:00Z obsproc WARNING <script>alert('x')</script> & station <b>\n")
    html = ask(port)[1]
    assert "script" not in Texts(html).tags and "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &amp;" in html


def test_who_is_silent_is_let_go_and_costs_no_other_an_answer(serving, monkeypatch, caplog):
    settings, port = serving
    monkeypatch.setattr(serve._Handler, "timeout", 0.2)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as silent:
        assert ask(port)[0] == 200
        assert silent.recv(1) == b""  # closed from there
    assert not caplog.records


def test_no_more_connections_than_some_are_held(serving):
    settings, port = serving
    held = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(serve.MOST_CONNECTIONS)]
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as one_more:
            assert one_more.recv(1) == b""
    finally:
        for connection in held:
            connection.close()
    assert wait_until(lambda: ask(port)[0] == 200)


def wait_until(true) -> bool:
    for _ in range(100):
        try:
            if true():
                return True
        except (http.client.HTTPException, OSError):  # let go: the held ones are not closed yet
            pass
        time.sleep(0.05)
    return False


def test_a_connection_that_is_dropped_leaves_no_traceback(serving, caplog, capfd):
    settings, port = serving
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as dropped:
            dropped.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            dropped.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
    assert ask(port)[0] == 200
    assert "Traceback" not in capfd.readouterr().err and "Traceback" not in caplog.text


def test_a_damaged_file_is_said_on_the_page_and_the_next_answer_comes(serving):
    settings, port = serving
    settings.experiment.folder.clock.write_text("<b>no clock")
    found = ask(port)
    assert found[0] in (200, 500) and "<b>no clock" not in found[1]
    settings.experiment.folder.clock.unlink()
    assert ask(port)[0] == 200


def test_several_may_ask_at_once(serving):
    """NetCDF's library is not made for that: without a lock the process ends with SIGSEGV."""
    settings, port = serving
    with ThreadPoolExecutor(8) as browsers:
        assert set(browsers.map(lambda _: ask(port, "/status.json")[0], range(40))) == {200}
