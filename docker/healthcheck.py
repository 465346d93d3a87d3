"""Exit 0 when all is well with what the named settings point to; an empty one points to nothing.

METRICS_PORT is this container's own process: its /healthz says whether its loop is alive and PostgreSQL answers it.
Any other setting is the address of a server that the process needs, to which a connection has to open.
Usage: python docker/healthcheck.py METRICS_PORT KAFKA_BOOTSTRAP_SERVERS
"""

import os
import socket
import sys
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

USUAL_PORTS = {"postgresql": 5432, "http": 80, "https": 443, "": 9092}


def main(settings: list[str]) -> None:
    for setting in settings:
        if setting == "METRICS_PORT":
            ask_process(os.environ[setting])
        elif os.environ[setting]:
            connect(setting, os.environ[setting].split(",")[0])


def ask_process(port: str) -> None:
    address = f"http://127.0.0.1:{port}/healthz"
    try:
        urlopen(address, timeout=8).close()
    except HTTPError as error:
        raise SystemExit(f"METRICS_PORT: {address}: {error.read().decode(errors='replace')}") from error
    except OSError as error:
        raise SystemExit(f"METRICS_PORT: {address} does not answer: {error}") from error


def connect(setting: str, address: str) -> None:
    server = urlsplit(address if "://" in address else f"//{address}")
    host, port = server.hostname or "localhost", server.port or USUAL_PORTS[server.scheme]
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError as error:
        # The address without the login that a database URL carries.
        raise SystemExit(f"{setting}: {host}:{port} does not answer: {error}") from error


if __name__ == "__main__":
    main(sys.argv[1:])
