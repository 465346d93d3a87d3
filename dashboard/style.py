"""Our style sheet in Streamlit's own page: `st.html` would bring it half a second after the first figures."""

from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STYLE = b"<style>\n" + (Path(__file__).parent / "style.css").read_bytes() + b"</style>\n"


class Styled:
    """ASGI middleware that puts STYLE at the end of every HTML page, behind Streamlit's own, which gives way to it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        page = b""

        async def sending(message: Message) -> None:
            nonlocal start, page
            if message["type"] == "http.response.start" and _is_page(message):
                start = message
            elif start is None:
                await send(message)
            else:
                page += message.get("body", b"")
                if not message.get("more_body", False):
                    page = page.replace(b"</body>", STYLE + b"</body>", 1)
                    headers = MutableHeaders(scope=start)
                    headers["content-length"] = str(len(page))
                    # They tell of Streamlit's file alone: a browser would keep a page with an earlier style.
                    del headers["etag"], headers["last-modified"]
                    await send(start)
                    await send({"type": "http.response.body", "body": page})

        await self._app(scope, receive, sending)


def _is_page(start: Message) -> bool:
    return start["status"] == 200 and Headers(scope=start).get("content-type", "").startswith("text/html")
