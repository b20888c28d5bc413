"""MLflow servers that are down, silent, broken, or really there until someone ends them. All on 127.0.0.1."""

import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from conftest import clean_environment

from workbench.tracking.local import READY

USER, PASSWORD = "mallory", secrets.token_hex(12)
STARTING = 120  # seconds, far more than a server needs


def address(port: int) -> str:
    """Return a tracking URI with a user and a password in it."""
    return f"http://{USER}:{PASSWORD}@127.0.0.1:{port}"


@contextmanager
def closed_port() -> Iterator[str]:
    """Nobody listens: every connection is refused."""
    with socket.socket() as taken:  # bound, so that nobody else comes to listen there meanwhile
        taken.bind(("127.0.0.1", 0))
        yield address(taken.getsockname()[1])


@contextmanager
def silent_server() -> Iterator[str]:
    """Every connection is accepted, and no word is ever said."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        yield address(listening.getsockname()[1])


class _Broken(BaseHTTPRequestHandler):
    healthy = False

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200 if self.healthy and self.path == "/health" else 500)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"no")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _BrokenInside(_Broken):
    healthy = True


@contextmanager
def broken_server(handler: type[BaseHTTPRequestHandler] = _Broken) -> Iterator[str]:
    """Everything is answered by 500, Internal Server Error."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield address(server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def server_without_database() -> Iterator[str]:
    """The server says that it is well; everything else is answered by 500."""
    with broken_server(_BrokenInside) as uri:
        yield uri


class _Dripping(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        try:
            while True:  # a byte now and then, so that no time limit on single reads ends it
                self.wfile.write(b"H")
                time.sleep(0.3)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def dripping_server() -> Iterator[str]:
    """An answer begins at once and never ends."""
    with broken_server(_Dripping) as uri:
        yield uri


@contextmanager
def no_database() -> Iterator[str]:
    """The store is a SQLite file that is none."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        path.write_text("no database " * 1000)
        yield f"sqlite:///{path}"


@contextmanager
def no_driver() -> Iterator[str]:
    """The store is a database that nobody here can speak to."""
    yield f"mysql://{USER}:{PASSWORD}@127.0.0.1:1/runs"


@contextmanager
def no_server_of_a_database() -> Iterator[str]:
    """The store is a database that is down."""
    yield f"postgresql://{USER}:{PASSWORD}@127.0.0.1:1/runs"


@contextmanager
def silent_database() -> Iterator[str]:
    """The store is a database that takes the connection and never says a word."""
    with silent_server() as uri:
        yield f"{uri.replace('http', 'postgresql')}/runs"


@contextmanager
def no_such_store() -> Iterator[str]:
    """The store is of a kind that MLflow does not know."""
    yield f"nonesuch://{USER}:{PASSWORD}@127.0.0.1/runs"


FAULTS = {
    "refuses": closed_port,
    "accepts and never answers": silent_server,
    "answers 500 to everything": broken_server,
    "is well but its database is not": server_without_database,
    "answers a byte now and then": dripping_server,
    "is a file that is no database": no_database,
    "is a database without a driver": no_driver,
    "is a database that is down": no_server_of_a_database,
    "is a database that never answers": silent_database,
    "is of an unknown kind": no_such_store,
}


@contextmanager
def mlflow_server(folder: Path) -> Iterator[tuple[str, int]]:
    """Start a real MLflow server with an empty store, and give its URI and the group of its processes."""
    with sqlite3.connect(folder / "server.db") as store:
        store.executescript(READY.read_text())
    store.close()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "server.txt").open("w") as said:
        server = subprocess.Popen(
            [
                *("python", "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
                *("--backend-store-uri", f"sqlite:///{folder}/server.db"),
                *("--artifacts-destination", str(folder / "artifacts")),
            ],
            cwd=folder,
            env=clean_environment(PYTHONWARNINGS="ignore"),
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + STARTING
        while not _healthy(port):
            assert server.poll() is None, (folder / "server.txt").read_text()
            assert time.monotonic() < deadline, (folder / "server.txt").read_text()
            time.sleep(0.2)
        # the first question opens the store, for longer than a stage waits on a machine that tests keep busy
        question = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
        urllib.request.urlopen(question, timeout=STARTING).close()
        yield address(port), server.pid
    finally:
        end_group(server.pid)
        server.wait()


def end_group(group: int) -> None:
    """End every process of a group at once."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return True
    except OSError:
        return False
