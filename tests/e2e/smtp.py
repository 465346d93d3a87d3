"""A mail server for tests, which takes mail over STARTTLS after a login and keeps it."""

import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest


@contextmanager
def mail_server(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["SmtpServer"]:
    """One that runs, and that the settings name."""
    with SmtpServer(certificate) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = {
            "SMTP_HOST": "127.0.0.1", "SMTP_PORT": server.server_address[1], "SMTP_USERNAME": "sales",
            "SMTP_PASSWORD": "hidden", "EMAIL_FROM": "dashboard@example.com",
        }  # fmt: skip
        for name, value in settings.items():
            monkeypatch.setenv(f"DASHBOARD_ALERT_{name}", str(value))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        yield server
        server.shutdown()


class SmtpServer(socketserver.ThreadingTCPServer):
    """Takes mail over STARTTLS after a login, as mail servers do."""

    daemon_threads = True

    def __init__(self, certificate: Path) -> None:
        super().__init__(("127.0.0.1", 0), SmtpSession)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(certificate)
        self.commands: list[str] = []
        self.mails: list[EmailMessage] = []
        self.refusals = 0  # so many mails are not taken, for now


class SmtpSession(socketserver.BaseRequestHandler):
    server: SmtpServer

    def finish(self) -> None:
        self.request.close()

    def handle(self) -> None:
        stream = self.request.makefile("rwb")

        def say(line: str) -> None:
            stream.write(f"{line}\r\n".encode())
            stream.flush()

        say("220 here")
        while line := stream.readline().decode().strip():
            encrypted = isinstance(self.request, ssl.SSLSocket)
            self.server.commands.append(f"{'TLS ' if encrypted else ''}{line}")
            match line.split()[0].upper():
                case "EHLO":
                    say("250-here")
                    say("250 AUTH PLAIN" if encrypted else "250 STARTTLS")
                case "STARTTLS":
                    say("220 go ahead")
                    self.request = self.server.context.wrap_socket(self.request, server_side=True)
                    stream = self.request.makefile("rwb")
                case "AUTH":
                    say("235 welcome")
                case "DATA":
                    say("354 go on")
                    lines = iter(stream.readline, b".\r\n")
                    mail = message_from_bytes(b"".join(lines).replace(b"\r\n..", b"\r\n."), policy=default)
                    if self.server.refusals:
                        self.server.refusals -= 1
                        say("451 later")
                    else:
                        self.server.mails.append(mail)
                        say("250 taken")
                case "QUIT":
                    say("221 bye")
                    return
                case _:
                    say("250 fine")
