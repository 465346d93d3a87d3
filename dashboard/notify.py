"""Alerts to where nobody has the page open: a signed POST of JSON, and mail. Addresses come from the settings alone."""

import base64
import hashlib
import hmac
import http.client
import json
import smtplib
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import make_msgid

from dashboard.settings import Settings

TIMEOUT_SECONDS = 5


@dataclass(frozen=True)
class Message:
    """One alert, as text and as fields. `event_id` stays the same when it is sent again."""

    event_id: int
    subject: str
    text: str
    fields: Mapping[str, object]


class NotConfigured(ValueError):
    """A rule names a channel that the settings no longer have."""


def send(channel: str, message: Message, settings: Settings) -> str | None:
    """Send it; None when the other side has accepted it, else what went wrong, without any secret."""
    try:
        if channel == "webhook":
            _post(message, settings)
        else:
            _mail(message, settings)
    except (OSError, smtplib.SMTPException, http.client.HTTPException, ValueError) as error:
        return _reason(error)
    return None


def _reason(error: Exception) -> str:
    match error:
        case NotConfigured():
            return str(error)
        case urllib.error.HTTPError():
            return f"answered {error.code}"
        case smtplib.SMTPResponseException():
            return f"the mail server answered {error.smtp_code}"
        case urllib.error.URLError():
            return type(error.reason).__name__
        case _:
            return type(error).__name__


def signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """As the receiver computes it: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.

    The scheme of https://www.standardwebhooks.com; a secret that begins with `whsec_` is base64, as there.
    """
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    signed = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


def _post(message: Message, settings: Settings) -> None:
    if settings.alert_webhook_url is None:
        raise NotConfigured("DASHBOARD_ALERT_WEBHOOK_URL is not set")
    url = settings.alert_webhook_url.get_secret_value()
    body = json.dumps({"id": message.event_id, "text": message.text, "url": _link(settings), **message.fields}).encode()
    message_id, timestamp = f"alert-{message.event_id}", str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "sales-dashboard",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
    }
    if secret := settings.alert_webhook_secret:
        headers["webhook-signature"] = signature(secret.get_secret_value(), message_id, timestamp, body)
    request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310  # the setting is http or https
    with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT_SECONDS):
        pass


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """An alert goes where the setting says, and not where that place would have it go."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def _mail(message: Message, settings: Settings) -> None:
    if settings.alert_smtp_host is None:
        raise NotConfigured("DASHBOARD_ALERT_SMTP_HOST is not set")
    mail = EmailMessage()
    mail["Subject"] = message.subject
    mail["From"] = settings.alert_email_from
    mail["To"] = ", ".join(settings.alert_email_to)
    mail["Message-ID"] = make_msgid(f"alert-{message.event_id}", "sales-dashboard")
    mail.set_content("\n\n".join(filter(None, (message.text, _link(settings)))))
    context = ssl.create_default_context()
    host, port = settings.alert_smtp_host, settings.alert_smtp_port
    server: smtplib.SMTP
    if settings.alert_smtp_security == "tls":
        server = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_SECONDS, context=context)
    else:
        server = smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS)
    with server:
        if settings.alert_smtp_security == "starttls":
            server.starttls(context=context)
        if settings.alert_smtp_username and settings.alert_smtp_password:
            server.login(settings.alert_smtp_username, settings.alert_smtp_password.get_secret_value())
        refused = server.send_message(mail)
    if refused:
        raise smtplib.SMTPRecipientsRefused(refused)


def _link(settings: Settings) -> str | None:
    return f"{str(settings.public_url).rstrip('/')}/alerts" if settings.public_url else None
