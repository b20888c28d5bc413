"""Stands for `python`, `dvc` and `attention` in a test: the warm Python does what it can do, a real one the rest."""

import json
import os
import signal
import socket
import sys
from pathlib import Path

READ_WHEN_IMPORTED = ("ATEN", "LD_", "MKL", "MPL", "NPY", "OMP", "OPENBLAS", "PYTHON")
# Of these, what the warm Python sets up itself, or the project's own code reads.
UNDERSTOOD = {"PYTHONPATH", "PYTHONWARNINGS"}
MODULES = (["-m", "dvc"], ["-m", "attention.project"], ["-m", "words.project"])


def main() -> None:
    """End as the command ends."""
    name, arguments = Path(sys.argv[0]).name, sys.argv[1:]
    real = Path(sys.executable).parent / name
    command = {"dvc": [str(real)], "attention": ["-P", "-m", "attention.project"]}.get(name, []) + arguments
    strange = [name for name in os.environ if name.startswith(READ_WHEN_IMPORTED) and name not in UNDERSTOOD]
    module = command[1:] if command[:1] == ["-P"] else command
    known = name == "dvc" or module[:2] in MODULES or "".join(command[:1]).startswith("stages/")
    if strange or not known:
        os.execv(real, [str(real), *arguments])  # noqa: S606
    here = Path(__file__).parent
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(str(here / "socket"))
        request = {
            "executable": str(here / "python"),  # for what the command itself starts
            "command": command,
            "folder": os.getcwd(),  # noqa: PTH109
            "environment": dict(os.environ),
        }
        data = json.dumps(request).encode()
        socket.send_fds(server, [len(data).to_bytes(8)], [0, 1, 2])
        server.sendall(data)
        status = int(server.recv(16) or b"1")
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


main()
