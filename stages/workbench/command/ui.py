"""`ui`: MLflow's pages in a browser, at the project's runs."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import chdir
from pathlib import Path

import mlflow

from workbench.command.asking import asking
from workbench.command.process_group import end_group
from workbench.project import Project
from workbench.stage.errors import TrackingError
from workbench.stage.params import PARAMS_FILE
from workbench.tracking.pages import page_of
from workbench.tracking.secrets import without_secrets
from workbench.tracking.store import open_store
from workbench.tracking.uri import tracking_uri

HOST, STDERR = "127.0.0.1", 2
QUIET = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PYTHONWARNINGS": "ignore"}  # its jobs take six processes


def ui(project: Project, root: Path, port: int) -> int:
    """Serve the pages of the project's SQLite store until interrupted, and print the address of its runs.

    Raises:
        TrackingError: another program has the port, the runs are on a server, or the pages do not start.

    """
    with chdir(root), asking(project):
        uri = tracking_uri()
        if uri.startswith(("http:", "https:")):
            raise TrackingError(
                f"MLFLOW_TRACKING_URI: got a server; its own pages show the runs: {without_secrets(uri)}; "
                "`unset MLFLOW_TRACKING_URI` shows those of this folder"
            )
        client, experiment_id = open_store(
            project.load_params(root / PARAMS_FILE).tracking.experiment, project.tracked.experiment_tags
        )
        held = client.get_experiment(experiment_id).tags
        for name, value in project.tracked.experiment_tags.items():  # it may be older than what shows it well
            if name not in held:
                client.set_experiment_tag(experiment_id, name, value)
    if not _is_free(port):
        raise TrackingError(f"port {port}: another program uses it; choose a free one: make ui PORT={port + 1}")
    # In the environment, where no list of processes shows it: it may have a password in it.
    environment = {"MLFLOW_BACKEND_STORE_URI": mlflow.get_tracking_uri(), **QUIET, **os.environ}
    few = ("--workers", "1", "--uvicorn-opts", "--log-level warning")  # one person looks, and reads the address
    command = [sys.executable, "-P", "-m", "mlflow", "ui", "--host", HOST, "--port", str(port), *few]
    print("starting MLflow's pages, which takes some seconds", file=sys.stderr)
    server = subprocess.Popen(command, cwd=root, env=environment, stdout=STDERR, start_new_session=True)
    try:
        _wait(server, port)
        print(f"runs: {page_of(f'http://{HOST}:{port}', experiment_id)}\nCtrl-C ends the server", flush=True)
        return server.wait()
    finally:
        end_group(server)


def _is_free(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex((HOST, port)) != 0


def _wait(server: "subprocess.Popen[bytes]", port: int) -> None:
    """Wait until the pages answer."""
    while server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise TrackingError("MLflow's server has ended by itself; what it said stands above")
