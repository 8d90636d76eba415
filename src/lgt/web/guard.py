"""What every request passes first: whose host name, which page sent it, how many bytes."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse

from lgt.errors import InputError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
WILDCARDS = frozenset({"0.0.0.0", "::", ""})
DRAIN_FACTOR = 4
"""A body up to this many times too large is read and dropped, so that the client sees the reply."""

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}

PROXY = (
    "; a proxy must pass on the Host that the browser sends (nginx: proxy_set_header Host "
    "$http_host;), and --allow_host must name it"
)
"""What those who put the server behind a proxy have to know."""
_SUB_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")


def sub_path(text: str) -> str:
    """Return a path such as `/paint`, without a slash at its end; empty for the top of a host.

    Raises:
        InputError: It is none.
    """
    path = text.strip().rstrip("/")
    if not _SUB_PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise InputError(
            f"--root_path: must be a path such as /paint, of letters, digits and . _ ~ - (got "
            f"{text!r})"
        )
    return path


class Guard:
    """Middleware that refuses foreign hosts, cross-site requests and large bodies.

    Args:
        app: The application behind it.
        host: The address that the server is bound to; a wildcard also allows every IP address,
            because a name that is made to point here (DNS rebinding) is never one.
        allowed_hosts: Further names.
        max_body: Path -> most bytes of a request's body.
        root_path: From :func:`sub_path`; requests come with it before their path, or without,
            where a proxy took it off. Empty: that of the application that this one is mounted in.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        allowed_hosts: tuple[str, ...] = (),
        max_body: Callable[[str], int],
        root_path: str = "",
    ) -> None:
        self._app = app
        self._names = LOCAL_NAMES | {host.lower(), *(name.lower() for name in allowed_hosts)}
        self._takes_addresses = host in WILDCARDS
        self._max_body = max_body
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(k.lower().encode(), v.encode()) for k, v in SECURITY_HEADERS.items()]
                present = {name.lower() for name, _ in message["headers"]}
                if b"cache-control" not in present:
                    own.append((b"cache-control", b"no-store"))
                message["headers"] = [*message["headers"], *own]
            await send(message)

        root = self._root_path or scope.get("root_path", "").rstrip("/")
        path = _below(scope["path"], root)
        problem = self._problem(path, headers)
        if problem is None and root and scope["path"] == root:
            # Links of the page are relative: they need the slash.
            await RedirectResponse(f"{root}/")(scope, receive, send_safely)
            return
        if problem is None:
            scope = {**scope, "root_path": root, "path": root + path}
            limit = self._max_body(path)
            length = headers.get("content-length", "")
            if length.isdigit() and int(length) > limit:
                if int(length) <= DRAIN_FACTOR * limit:
                    await _drain(receive)
                problem = (413, "too_large", _too_many(limit))
            else:
                await self._app(scope, _bounded(receive, limit), send_safely)
                return
        status, code, message = problem
        response = JSONResponse({"detail": message, "code": code}, status)
        await response(scope, receive, send_safely)

    def _problem(self, path: str, headers: dict[str, str]) -> tuple[int, str, str] | None:
        host = headers.get("host", "")
        if not self._allows(host):
            return (
                421,
                "wrong_host",
                f"this server does not answer to the name {host[:100]!r}; start it with "
                f"--host or --allow_host to allow a name{PROXY}",
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return (
                403,
                "cross_site",
                f"requests from other sites are refused: the page is of {origin[:100]!r}, and this "
                f"server was asked as {host[:100]!r}{PROXY}",
            )
        site = headers.get("sec-fetch-site", "same-origin")
        is_api = path.startswith("/api/")
        if is_api and site not in {"same-origin", "none"}:
            return 403, "cross_site", "requests from other sites are refused"
        return None

    def _allows(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._names:
            return bool(name)
        if not self._takes_addresses:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _below(path: str, root: str) -> str:
    """Return a path without the root before it; one that a proxy took off is not missed."""
    is_below = path == root or path.startswith(f"{root}/")
    return (path[len(root) :] or "/") if is_below else path


def _bounded(receive: Receive, limit: int) -> Receive:
    """Count the bytes of a body whose length was not announced."""
    total = 0

    async def counted() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > limit:
            raise HTTPException(413, _too_many(limit))
        return message

    return counted


async def _drain(receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            return


def _too_many(limit: int) -> str:
    return f"the upload is too large; at most {limit / 1e6:.0f} MB are taken"
