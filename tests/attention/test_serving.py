"""The registered network, asked for predictions as anyone would: `mlflow models serve`, over HTTP."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import torch
from conftest import Project, clean_environment

from attention.network import load_model

SOONER_OR_LATER = 180  # seconds, far more than the server takes to start


def ask(address: str, question: object | None = None) -> bytes:
    data = None if question is None else json.dumps(question).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as reply:
        answer: bytes = reply.read()
    return answer


def test_the_registered_network_is_served_and_predicts_what_the_model_file_predicts(
    finished_project: Project, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["mlflow", "models", "serve", "--env-manager", "local", "-m", "models:/attention-network/1"]
    with (tmp_path / "log.txt").open("w") as log:
        server = subprocess.Popen(
            [*command, "--port", str(port)],
            cwd=tmp_path,
            env=clean_environment(MLFLOW_TRACKING_URI=f"sqlite:///{finished_project.root}/mlflow.db"),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + SOONER_OR_LATER
        while True:
            try:
                ask(f"{address}/ping")
                break
            except (urllib.error.URLError, OSError):
                assert server.poll() is None, (tmp_path / "log.txt").read_text()
                assert time.monotonic() < deadline, (tmp_path / "log.txt").read_text()
                time.sleep(0.2)
        inputs = torch.rand(5, 7, generator=torch.Generator().manual_seed(1))
        contexts = torch.tensor([0, 1, 2, 1, 0])
        question = {"inputs": {"inputs": inputs.tolist(), "contexts": contexts.tolist()}}
        answer = json.loads(ask(f"{address}/invocations", question))
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)
    network = load_model(finished_project.root / "data/train/model.safetensors")
    with torch.no_grad():
        expected = network(inputs, contexts)
    assert torch.equal(torch.tensor(answer["predictions"]), expected)
