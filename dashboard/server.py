"""The server and entrypoint: Streamlit's app, and beside it one route that tells open pages to look again.

`streamlit run dashboard/server.py`. Under another ASGI server: `uvicorn dashboard.server:app`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import streamlit as st
from starlette.middleware import Middleware
from starlette.routing import Route

from dashboard import push, security


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, Any]]:
    """Listen to PostgreSQL as long as the server is up."""
    async with push.listening():
        yield {}


app = st.App(
    "app.py",
    lifespan=lifespan,
    routes=[Route(push.PATH, push.stream)],
    middleware=[Middleware(security.Headers)],
)
