"""The server and entrypoint: Streamlit's app, and beside it one route that tells open pages to look again.

`streamlit run dashboard/server.py`. Under another ASGI server: `uvicorn dashboard.server:app`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from starlette.routing import Route

from dashboard import push, security, style


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, Any]]:
    """Listen to PostgreSQL, and tell of alerts and reports, as long as the server is up."""
    from dashboard import dispatch  # not before Streamlit's runtime is there, which its caches ask for

    wanted = asyncio.Event()
    async with push.listening(wanted.set), dispatch.watching(wanted):
        yield {}


app = st.App(
    "app.py",
    lifespan=lifespan,
    routes=[Route(push.PATH, push.stream)],
    middleware=[Middleware(security.Headers), Middleware(security.Closed), Middleware(style.Styled)],
)
