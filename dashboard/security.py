"""HTTP: what a page may load and run, who may frame it, what other sites learn of its links, what is not served."""

import base64
import hashlib
import re
from pathlib import Path

import streamlit
from starlette.datastructures import Headers as RequestHeaders
from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def _inline_scripts() -> str:
    """The hashes of the scripts that stand in Streamlit's own page, which are the only ones that may."""
    page = (Path(streamlit.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(each.encode()).digest()).decode()}'" for each in scripts)


POLICY = {
    "default-src": "'none'",
    # Streamlit hands the code of a component to the browser as a blob. Nothing is evaluated from text.
    "script-src": f"'self' blob: {_inline_scripts()}",
    "style-src": "'self' 'unsafe-inline'",  # its widgets are styled in place
    "img-src": "'self' data: blob:",  # charts that are saved, and cells of tables, are drawn in the browser
    "font-src": "'self' data:",
    "connect-src": "'self'",  # the session and the events, and no other place that data could be sent to
    "worker-src": "'self' blob:",
    "manifest-src": "'self'",
    "media-src": "'self'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'self'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {sources}" for name, sources in POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
HTTPS_HEADERS = {"Strict-Transport-Security": "max-age=31536000"}  # a year
# Streamlit's own, which no page needs: the one keeps in memory whatever anybody sends, the other tells of the process.
CLOSED = ("/_stcore/upload_file", "/_stcore/metrics")


class Headers:
    """ASGI middleware that puts HEADERS on every answer, and HTTPS_HEADERS on those to browsers that came by https."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = HEADERS | HTTPS_HEADERS if _by_https(scope) else HEADERS

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        await self._app(scope, receive, sending)


class Closed:
    """ASGI middleware that answers 404 for the routes in CLOSED, wherever the dashboard is mounted."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        closed = scope["type"] == "http" and any(path in scope["path"] for path in CLOSED)
        app: ASGIApp = PlainTextResponse("Not Found", 404) if closed else self._app
        await app(scope, receive, send)


def _by_https(scope: Scope) -> bool:
    """Whether the browser came by https: to us, or to the first of the proxies in between."""
    forwarded = RequestHeaders(scope=scope).get("x-forwarded-proto", "")
    return "https" in (scope["scheme"], forwarded.split(",")[0].strip().lower())
