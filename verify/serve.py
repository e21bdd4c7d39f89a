"""`python -m verify serve EXPERIMENT.toml`: the page that shows how an experiment goes, on this machine only.

    /             the cycle now, the last cycles, warnings; asks for itself again every five seconds
    /status.json  /metrics   the same for programs
    /report.html  what `python -m verify report` wrote last

Every answer is read from the files at that moment.  It listens on the loopback address and nowhere else, answers a
browser only under a name of this machine (another page's name that points here is refused), and knows these paths only.
Every user of this machine may ask it; who is silent for ten seconds, or the twenty-first at a time, is let go.
From elsewhere: `ssh -L 8765:127.0.0.1:8765 MACHINE`.
"""

import logging
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec

from contracts import config, program
from contracts.errors import UserError
from contracts.variables import Quantity
from verify import page, prometheus, shown, status
from verify.config import Settings
from verify.status import Cycle, Status
from verify.summary import number

ADDRESS = "127.0.0.1"
PORT = 8765
REFRESH_SECONDS = 5
SILENCE_SECONDS, MOST_CONNECTIONS = 10.0, 20
TABLE_NOTE = ("Seconds count from when what a stage needs is there. Of each quantity: RMS of O−B / spread of the "
              "background, over assimilated observations.")
HTML = "text/html; charset=utf-8"
log = logging.getLogger("verify.serve")
_LOOKING = threading.Lock()


def main(arguments: Sequence[str]) -> None:
    """Serve until interrupted; raises UserError where the port is taken."""
    parser = program.parser("python -m verify serve", __doc__ or "",
                            "python -m verify serve run/experiments/twin_speedy.toml --port 8765")
    program.add_experiment(parser)
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help=f"default {PORT}; 0 takes any that is free")
    chosen = parser.parse_args(arguments)
    with server(config.load(chosen.experiment, Settings), chosen.port) as serving:
        print(f"http://{ADDRESS}:{serving.server_port}/", flush=True)
        serving.serve_forever()


def server(settings: Settings, port: int) -> ThreadingHTTPServer:
    """Bound to the loopback address; raises UserError where the port cannot be had."""
    handler = type("Handler", (_Handler,), {"settings": settings})
    try:
        return _Server((ADDRESS, port), handler)
    except (OSError, OverflowError) as error:
        raise UserError(f"port {port} of {ADDRESS} cannot be had ({error}); choose another with --port") from None


class _Server(ThreadingHTTPServer):
    """A thread for each connection, of which there are few at a time; who drops one is no news."""

    daemon_threads = True

    def __init__(self, *arguments: Any):
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        fault = sys.exception()
        if isinstance(fault, OSError):  # the connection broke, or nothing came in time
            log.debug("%s: %s", client_address, fault)
        else:
            log.error("a request could not be answered", exc_info=fault)


class _Handler(BaseHTTPRequestHandler):
    settings: Settings
    timeout = SILENCE_SECONDS  # of a connection; then it is closed
    server_version, sys_version = "verify", ""

    def do_GET(self) -> None:
        """Answer one of the paths above."""
        host = (self.headers.get("Host") or "").rpartition(":")[0] or self.headers.get("Host")
        if host not in (ADDRESS, "localhost"):
            self.send_error(HTTPStatus.FORBIDDEN, f"this page is for {ADDRESS}")
            return
        try:
            self._look_up()
        except UserError as error:  # a file of the experiment is damaged: the next look may find it mended
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR, explain=str(error))

    def _look_up(self) -> None:
        report = status.report_file(self.settings)
        if self.path == "/":
            text = html(self._status(), report)
            self._answer(text.encode(), HTML)
        elif self.path == "/status.json":
            self._answer(msgspec.json.encode(self._status()), "application/json")
        elif self.path == "/metrics":
            self._answer(prometheus.text(self._status()).encode(), "text/plain; version=0.0.4")
        elif self.path == "/report.html" and report.exists():
            self._answer(report.read_bytes(), HTML)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _status(self) -> Status:
        """As of now. One at a time: NetCDF's library is not made for two threads at once, and ends with a signal."""
        with _LOOKING:
            return status.of(self.settings)

    def _refuse(self) -> None:
        self.send_error(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is answered")

    do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = _refuse

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store",
                   "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
                   "X-Content-Type-Options": "nosniff"}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        log.debug(format, *args)


def html(now: Status, report: Path | None = None) -> str:
    """The page of a status."""
    parts = [page.heading(now.experiment, now.state, now.reason), _progress(now)]
    if report is not None:
        parts.append(_link(report))
    parts.append(page.section("now", "Last cycle" if now.state == "complete" else "Now", _stages(now)))
    warned = [[cycle.time, warning] for cycle in reversed(now.cycles) for warning in cycle.warnings]
    if warned:
        parts.append(page.section("warnings", "Warnings", page.table(["cycle", "what was said"], warned, 2)))
    parts.append(page.section("cycles", f"The last {len(now.cycles)} cycles", cycle_table(now.cycles[::-1]),
                              files_table(now.cycles[::-1])))
    parts.append(page.paragraph(f"As of {now.written:%Y-%m-%d %H:%M:%S} UTC; renewed every {REFRESH_SECONDS} s. "
                                f"{TABLE_NOTE}", "note"))
    return page.document(f"{now.state}: {now.experiment}", "\n".join(parts), REFRESH_SECONDS)


def _progress(now: Status) -> str:
    share = 100 * now.finished / now.planned
    told = f"{now.finished} of {now.planned} cycles finished"
    if now.last_progress:
        told += f"; the last file appeared at {now.last_progress:%Y-%m-%d %H:%M:%S} UTC"
    return f'<div class="bar"><div style="width: {share:.1f}%"></div></div>\n' + page.paragraph(told + ".")


def _link(report: Path) -> str:
    if not report.exists():
        return page.paragraph("No report yet: python -m verify report EXPERIMENT.toml writes one.", "note")
    made = datetime.fromtimestamp(report.stat().st_mtime, UTC)
    return f'<p><a href="/report.html">Report</a>, made {made:%Y-%m-%d %H:%M} UTC</p>'


def _stages(now: Status) -> str:
    """The stages of the cycle in hand."""
    cycle = next((cycle for cycle in now.cycles if cycle.time == now.now), now.cycles[-1])
    rows = [[name, stage.state, f"{stage.ended:%m-%d %H:%M:%S}" if stage.ended else "",
             "" if stage.seconds is None else f"{stage.seconds:.2f}"] for name, stage in cycle.stages.items()]
    return page.paragraph(f"Cycle of {cycle.time}") + page.table(["stage", "state", "ended (UTC)", "seconds"], rows, 2)


def cycle_table(cycles: Sequence[Cycle]) -> str:
    """A row for each cycle: stages, observations, fit."""
    quantities = list(dict.fromkeys(name for cycle in cycles for name in cycle.departures))
    header = ["cycle", *(f"{stage}\ns" for stage in status.STAGES), "observations\nread", "\nassimilated",
              *(f"{name.replace('component_of_wind', 'wind').replace('_', ' ')}\n{shown.units_of(Quantity[name])}"
                for name in quantities)]
    return page.table(header, [_row(cycle, quantities) for cycle in cycles])


def files_table(cycles: Sequence[Cycle]) -> str:
    """Files of observations that were not read, or not whole; empty where there are none."""
    rows = [[cycle.time, fate, ", ".join(names)] for cycle in cycles for fate, names in cycle.files.items()
            if fate != "read"]
    return "<h3>Files not read, or not whole</h3>" + page.table(["cycle", "fate", "files"], rows, 3) if rows else ""


def _row(cycle: Cycle, quantities: Sequence[str]) -> list[str]:
    took = [stage.state if stage.seconds is None else f"{stage.seconds:.2f}" for stage in cycle.stages.values()]
    counted = [str(sum(cycle.counts.values())), str(cycle.counts.get("assimilated", 0))] if cycle.counts else ["", ""]
    return [cycle.time, *took, *counted, *(_fit(cycle, name) for name in quantities)]


def _fit(cycle: Cycle, quantity: str) -> str:
    found, factor = cycle.departures.get(quantity), shown.factor_of(Quantity[quantity])
    return f"{number(factor * found.omb_rms)} / {number(factor * found.background_spread)}" if found else ""
