"""A listening socket, and the application behind it."""

from __future__ import annotations

import socket
import threading
import webbrowser
from types import FrameType

import uvicorn
from fastapi import FastAPI

from lgt.errors import InputError
from lgt.web.guard import WILDCARDS

WAITING = 100
"""Connections that wait for the server to take them."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address; port 0 takes a free one.

    What asks before the server answers waits in the socket's queue.

    Raises:
        InputError: The address is taken or is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(WAITING)
    except OSError as error:
        listener.close()
        raise InputError(
            f"can not listen on {host}, port {port} ({error.strerror or error}); "
            "choose another with --port or --host"
        ) from error
    return listener


def address(listener: socket.socket) -> str:
    """Return what to type into a browser on this machine."""
    host, port = listener.getsockname()[:2]
    if host in WILDCARDS:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def make_server(app: FastAPI) -> _Server:
    """Return a server for the application, without output of its own but warnings."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=100,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=3,
    )
    return _Server(config, app)


class _Server(uvicorn.Server):
    """Says to all who wait that their jobs are cancelled before it goes."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app
        self.is_stopped = False
        """Whether a signal asked for the end."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take the first signal alone: to go takes seconds, and one on top ends in a traceback."""
        self.is_stopped = True
        if not self.should_exit:
            super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End all jobs, so that streams of events come to their end, then the connections."""
        self._app.state.jobs.close()
        await super().shutdown(sockets)


def run(app: FastAPI, listener: socket.socket, *, opens_browser: bool) -> bool:
    """Serve until Ctrl-C; return whether that was it."""
    if opens_browser:
        threading.Thread(target=webbrowser.open, args=(address(listener),), daemon=True).start()
    server = make_server(app)
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:  # Raised once the server has gone, but not at every moment.
        return True
    return server.is_stopped
