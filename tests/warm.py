"""Commands whose process need not import PyTorch again: a third of the time of short ones.

A server imports what most commands need, and forks for each; `python` and `lgt` of the folder that
:func:`warm_commands` yields ask it. They take their caller's arguments, folder, environment,
streams and signals, and end with their child's exit code. That commands start from nothing is
tested elsewhere (test_first_command.py, test_main_job.py, test_documented_commands.py).
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MOST = 2**20
"""Bytes of a request."""
MOST_STREAMS = 64
"""Open files of a caller."""
WARM = (
    "PIL.Image",
    "torch",
    "torch._dynamo",
    "openvino",
    "efficientnet_lite_pytorch",
    "lgt.cli.app",
    "lgt.cli.add_style",
    "lgt.cli.preprocess",
    "lgt.cli.train",
    "lgt.cli.transfer",
    "lgt.cli.transfer_run",
    "lgt.cli.transfer_many",
    "lgt.inference",
    "lgt.runtime.engines",
    "lgt.train.memory",
    "lgt.train.new_style",
)
"""What is imported beforehand."""
FREE = 300
"""From here on callers, shells among them, have no open files."""

CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
streams = []
for number in map(int, os.listdir("/dev/fd")):  # More than three: the shell's <(command).
    try:
        os.fstat(number)
    except OSError:  # That of the listing itself.
        continue
    streams.append(number)
asked = [os.path.basename(sys.argv[0]), sys.argv[1:], os.getcwd(), dict(os.environ), streams]
asked = json.dumps(asked)
server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
server.connect({address!r})
socket.send_fds(server, [b"."], streams)
server.sendall(asked.encode("utf-8", "surrogateescape") + b"\\n")
answers = server.makefile()
child = int(answers.readline())
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, _: os.kill(child, number))
sys.exit(int(answers.readline() or 70))
"""


@contextmanager
def warm_commands() -> Iterator[Path]:
    """Yield a folder with `python` and `lgt` for the front of PATH."""
    with tempfile.TemporaryDirectory(prefix="lgt-warm-") as folder:
        address = Path(folder) / "socket"
        commands = Path(folder) / "bin"
        commands.mkdir()
        for name in ("python", "lgt"):
            path = commands / name
            path.write_text(CLIENT.format(python=sys.executable, address=str(address)))
            path.chmod(0o755)
        server = subprocess.Popen(
            [sys.executable, __file__, str(address)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None and server.stdout.readline() == "ready\n"
            yield commands
        finally:
            server.terminate()
            server.wait()


def serve(address: str) -> None:
    """Import, then fork for each request until the end."""
    for module in WARM:
        with suppress(ImportError):  # Of an extra that is not installed: what needs it says so.
            importlib.import_module(module)

    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Nobody waits for the children.
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            connection = socket.socket(fileno=moved(connection.detach()))
            code = 70
            try:
                code = answer(connection)
            finally:
                for stream in (sys.stdout, sys.stderr):
                    stream.flush()
                connection.sendall(f"{code}\n".encode())
                os._exit(code)
        connection.close()


def moved(stream: int) -> int:
    """Give an open file a number that no caller's has, and return it."""
    number = fcntl.fcntl(stream, fcntl.F_DUPFD, FREE)
    os.close(stream)
    return number


def answer(connection: socket.socket) -> int:
    """Do what is asked, in a child; return its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, _, _ = socket.recv_fds(connection, 1, MOST_STREAMS)
    with connection.makefile("rb") as lines:
        request = lines.readline(MOST)
    name, arguments, folder, environment, numbers = json.loads(request)
    connection.sendall(f"{os.getpid()}\n".encode())
    for number, stream in zip(numbers, [moved(stream) for stream in streams], strict=True):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    import torch

    torch.set_num_threads(int(environment.get("OMP_NUM_THREADS", torch.get_num_threads())))
    try:
        run(name, arguments)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def run(name: str, arguments: list[str]) -> None:
    """Do what `lgt` or `python` does with these arguments."""
    if name == "lgt":
        from lgt.cli.app import main

        sys.argv = [name, *arguments]
        main()
        return
    first, *rest = arguments
    if first == "-c":
        sys.argv, sys.path[0] = ["-c", *rest[1:]], ""
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    elif first == "-m":
        sys.argv, sys.path[0] = rest, ""
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first.startswith("-"):
        os.execv(sys.executable, [sys.executable, *arguments])
    else:
        sys.argv, sys.path[0] = arguments, str(Path(first).resolve().parent)
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    serve(sys.argv[1])
