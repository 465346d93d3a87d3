"""Exit 0 when a connection opens to every server that the named settings point to.

A crashed process ends its container; what a living one can lack is the servers it works with.
Usage: python docker/healthcheck.py DATABASE_URL KAFKA_BOOTSTRAP_SERVERS
"""

import os
import socket
import sys
from urllib.parse import urlsplit

USUAL_PORTS = {"postgresql": 5432, "http": 80, "https": 443, "": 9092}


def main(settings: list[str]) -> None:
    for setting in settings:
        first = os.environ[setting].split(",")[0]
        server = urlsplit(first if "://" in first else f"//{first}")
        host, port = server.hostname or "localhost", server.port or USUAL_PORTS[server.scheme]
        try:
            socket.create_connection((host, port), timeout=3).close()
        except OSError as error:
            # The address without the login that a database URL carries.
            raise SystemExit(f"{setting}: {host}:{port} does not answer: {error}") from error


if __name__ == "__main__":
    main(sys.argv[1:])
