"""A Python that has imported the slow libraries, and becomes a fresh one in a folder for each command that it is sent.

    python warm_python.py SOCKET OWNER

MLflow, torch and DVC take seconds to import, and the tests start hundreds of processes. Here each is a fork: a process
of its own, with its own folder, environment and files, that imports the project's own code anew. `warm_client.py`
stands for `python` and `dvc` on the path of a test, and sends what it is given here.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import warnings
from contextlib import suppress
from importlib import import_module
from typing import Any

LIBRARIES = (
    "PIL.GifImagePlugin",
    "PIL.PngImagePlugin",
    "alembic.command",
    "altair",
    "dvc.cli.parser",
    "dvc.commands.experiments.run",
    "dvc.data_cloud",
    "dvc.render.match",
    "dvc.repo.brancher",
    "dvc.repo.experiments.queue.celery",
    "dvc.repo.experiments.run",
    "dvc.repo.graph",
    "dvc.repo.reproduce",
    "dvc.utils.hydra",
    "dvc_data.index.checkout",
    "dvc_studio_client.post_live_metrics",
    "dulwich.porcelain",
    "hydra.core.override_parser.overrides_parser",
    "joblib",
    "llvmlite.binding",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "mlflow.store.model_registry.sqlalchemy_workspace_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "mlflow.tracing.export",
    "mlflow.tracing.processor.base_mlflow",
    "networkx",
    "opentelemetry.sdk.metrics.export",
    "pandas",
    "psutil",
    "pyarrow.pandas_compat",
    "pyarrow.parquet",
    "pydantic",
    "pygit2",
    "ruamel.yaml",
    "safetensors.numpy",
    "scmrepo.git",
    "sqlalchemy.dialects.sqlite",
    "torch",
    "tqdm",
)


def serve(address: str, owner: int) -> None:
    """Fork for every request, and tell its sender how the fork ended; end with the socket, or the owner's process."""
    for name in LIBRARIES:
        import_module(name)
    gc.collect()
    gc.freeze()  # what is not looked at need not be copied
    server, (woken, wake) = socket.socket(socket.AF_UNIX), socket.socketpair()
    server.bind(f"{address}.new")
    server.listen()
    os.rename(f"{address}.new", address)  # noqa: PTH104 - who sees it can be heard
    wake.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno())
    waiting: dict[int, socket.socket] = {}  # by the number of the process that is at work for it
    while os.path.exists(address) and _is_alive(owner):  # noqa: PTH110
        readable, _, _ = select.select([server, woken, *waiting.values()], [], [], 1)
        if woken in readable:
            woken.recv(4096)
            _tell_who_has_ended(waiting)
        if server in readable:
            client, _ = server.accept()
            request, files = _receive(client)
            pid = os.fork()
            if pid == 0:
                os.setpgid(0, 0)  # what it starts ends with it, as with a command in its own group
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for each in (server, woken, wake, client, *waiting.values()):
                    each.close()
                _work(request, files)
            for file in files:
                os.close(file)
            waiting[pid] = client
        for pid, client in waiting.items():
            if client in readable:  # it says nothing more: its process was killed
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)


def _is_alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def _receive(client: socket.socket) -> tuple[dict[str, Any], list[int]]:
    size, files, _, _ = socket.recv_fds(client, 8, 3)
    with client.makefile("rb") as stream:
        return json.loads(stream.read(int.from_bytes(size))), list(files)


def _tell_who_has_ended(waiting: dict[int, socket.socket]) -> None:
    while waiting:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        client = waiting.pop(pid)
        with suppress(OSError):
            client.send(str(os.waitstatus_to_exitcode(status)).encode())
        client.close()


def _work(request: dict[str, Any], files: list[int]) -> None:
    """Be the process that was asked for, to its end."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    status = 1
    try:
        _run(request)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # Python would take a second to clear all that was imported


def _run(request: dict[str, Any]) -> None:
    sys.executable = request["executable"]
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    if os.environ.get("PYTHONWARNINGS") == "default":
        warnings.simplefilter("default")
    safe = request["command"][0] == "-P"
    first, *arguments = request["command"][safe:]
    path = list(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    if first == "-m":
        sys.argv = arguments
        sys.path[:1] = path if safe else [request["folder"], *path]
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *arguments]
        sys.path[:1] = [os.path.dirname(os.path.abspath(first)), *path]  # noqa: PTH100, PTH120 - as Python does it
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
