"""Messages to where nobody has the page open: a signed POST of JSON, and mail. The settings say where they may go."""

import base64
import hashlib
import hmac
import json
import logging
import smtplib
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import make_msgid
from urllib.parse import urlencode

import httpx

from dashboard.settings import Settings

TIMEOUT_SECONDS = 5
logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs each address, and those of webhooks are secrets


@dataclass(frozen=True)
class Attachment:
    """A file of a mail; `kind` is its MIME type."""

    name: str
    kind: str
    content: bytes


@dataclass(frozen=True)
class Message:
    """A message. `message_id` stays the same when it is sent again; `fields` are the JSON of a webhook."""

    message_id: str
    subject: str
    text: str
    link: str | None
    fields: Mapping[str, object] = field(default_factory=dict)
    html: str | None = None
    attachments: tuple[Attachment, ...] = ()


class Undeliverable(Exception):
    """There is nothing to send, now or later; the message says why."""


class NotConfigured(ValueError):
    """The settings do not have this channel, or do not allow this recipient."""


def send(channel: str, recipient: str, message: Message, settings: Settings) -> str | None:
    """Send it; None when the other side has accepted it, else what went wrong, without any secret.

    An empty recipient of mail stands for the addresses of the settings.
    """
    try:
        if channel == "webhook":
            _post(message, settings)
        else:
            _mail(recipient, message, settings)
    except (OSError, smtplib.SMTPException, httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return _reason(error)
    return None


def _reason(error: Exception) -> str:
    match error:
        case NotConfigured():
            return str(error)
        case httpx.HTTPStatusError():
            return f"answered {error.response.status_code}"
        case smtplib.SMTPResponseException():
            return f"the mail server answered {error.smtp_code}"
        case _:
            return type(error).__name__


def signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """The signature, as the receiver computes it: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.

    The scheme of https://www.standardwebhooks.com; a secret that begins with `whsec_` is base64, as there.
    """
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    signed = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


def _post(message: Message, settings: Settings) -> None:
    if settings.alert_webhook_url is None:
        raise NotConfigured("DASHBOARD_ALERT_WEBHOOK_URL is not set")
    url = settings.alert_webhook_url.get_secret_value()
    told = _slack(message) if settings.alert_webhook_format == "slack" else _standard(message)
    body, timestamp = json.dumps(told).encode(), str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "sales-dashboard",
        "webhook-id": message.message_id,
        "webhook-timestamp": timestamp,
    }
    if secret := settings.alert_webhook_secret:
        headers["webhook-signature"] = signature(secret.get_secret_value(), message.message_id, timestamp, body)
    # No redirect is followed: an alert goes where the setting says, and not where that place would have it go.
    httpx.post(url, content=body, headers=headers, timeout=TIMEOUT_SECONDS).raise_for_status()


def _standard(message: Message) -> dict[str, object]:
    return {"text": message.text, "url": message.link, **message.fields}


def _slack(message: Message) -> dict[str, object]:
    """The message as Slack's incoming webhooks take it, and those of others that are shaped like them.

    Text is escaped as https://docs.slack.dev/messaging/formatting-message-text says: a name cannot call anybody.
    """
    text = f"{message.subject}\n{message.text}"
    for sign, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign, escaped)
    return {"text": f"{text}\n<{message.link}>" if message.link else text}


def _mail(recipient: str, message: Message, settings: Settings) -> None:
    if settings.alert_smtp_host is None:
        raise NotConfigured("DASHBOARD_ALERT_SMTP_HOST is not set")
    if recipient and not settings.allows(recipient):
        raise NotConfigured("DASHBOARD_MAIL_ALLOWED does not allow this address")
    to = (recipient,) if recipient else settings.alert_email_to
    if not to:
        raise NotConfigured("DASHBOARD_ALERT_EMAIL_TO is not set")
    mail = EmailMessage()
    mail["Subject"] = message.subject
    mail["From"] = settings.alert_email_from
    mail["To"] = ", ".join(to)
    mail["Message-ID"] = make_msgid(message.message_id, "sales-dashboard")
    mail.set_content("\n\n".join(filter(None, (message.text, message.link))))
    if message.html:
        mail.add_alternative(message.html, subtype="html")
    for each in message.attachments:
        main, _, sub = each.kind.partition("/")
        mail.add_attachment(each.content, maintype=main, subtype=sub, filename=each.name)
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


def link(settings: Settings, path: str, query: Sequence[tuple[str, str]] = ()) -> str | None:
    """The address of a page of the dashboard, where the settings say where the dashboard is."""
    if settings.public_url is None:
        return None
    return f"{str(settings.public_url).rstrip('/')}/{path}{f'?{urlencode(query)}' if query else ''}"
