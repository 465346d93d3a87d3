"""The settings of the dashboard: the only reader of its environment."""

import re
from functools import lru_cache
from typing import Annotated, Literal, get_args

from pydantic import Field, HttpUrl, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

NumberStyle = Literal["1,234.56", "1.234,56", "1 234,56"]
Role = Literal["customers", "rejects", "editor"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
SmtpSecurity = Literal["starttls", "tls", "none"]
WebhookFormat = Literal["standard", "slack"]
# A text that a mail server takes as one address: nothing in it could end it and begin another.
ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@(?P<domain>[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)")


class Settings(BaseSettings):
    """Raises pydantic.ValidationError when the database URL is missing or a value is not one of those allowed."""

    model_config = SettingsConfigDict(
        frozen=True, env_prefix="DASHBOARD_", env_ignore_empty=True, hide_input_in_errors=True
    )

    database_url: SecretStr = Field(description="PostgreSQL URL of the login that may take the roles of readers.")
    number_style: NumberStyle = Field("1,234.56", description="How grouped digits and decimals are written.")
    week_start: Weekday = Field("monday", description="The day with which a week begins.")

    require_login: bool = Field(False, description="Show nothing where Streamlit's [auth] is not configured.")
    roles_claim: str = Field("roles", description="Claim of the identity token that lists roles; dots lead inwards.")
    sign_in_hours: float = Field(12, gt=0, description="Hours after which somebody has to sign in again.")
    anonymous_roles: Annotated[tuple[Role, ...], NoDecode] = Field(
        (), description="What people may beyond totals where nobody signs in: customers, rejects, editor."
    )

    public_url: HttpUrl | None = Field(None, description="Address of the dashboard, for the links of mail.")
    alert_webhook_url: SecretStr | None = Field(None, description="Where alerts are posted as JSON.")
    alert_webhook_format: WebhookFormat = Field("standard", description="What the posts look like.")
    alert_webhook_secret: SecretStr | None = Field(None, description="What the posts are signed with.")
    alert_smtp_host: str | None = Field(None, description="Mail server that alerts and reports are handed to.")
    alert_smtp_port: int = Field(587, gt=0, lt=65536, description="Its port.")
    alert_smtp_security: SmtpSecurity = Field("starttls", description="How the connection to it is secured.")
    alert_smtp_username: str | None = Field(None, description="Login at the mail server.")
    alert_smtp_password: SecretStr | None = Field(None, description="Its password.")
    alert_email_from: str | None = Field(None, description="Sender of alerts and reports.")
    alert_email_to: Annotated[tuple[str, ...], NoDecode] = Field((), description="Receivers of alerts.")
    mail_allowed: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Addresses, and domains, that may be chosen as receivers on the page."
    )

    @field_validator("anonymous_roles", "alert_email_to", "mail_allowed", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("alert_webhook_url")
    @classmethod
    def _web(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith(("https://", "http://")):
            raise ValueError("must begin with https:// or http://")
        return value

    @property
    def first_weekday(self) -> int:
        """The weekday of `week_start`, from 0 (Monday) to 6."""
        return get_args(Weekday).index(self.week_start)

    @model_validator(mode="after")
    def _whole(self) -> "Settings":
        if self.alert_smtp_host and not (self.alert_email_from and (self.alert_email_to or self.mail_allowed)):
            raise ValueError(
                "DASHBOARD_ALERT_SMTP_HOST needs DASHBOARD_ALERT_EMAIL_FROM, and DASHBOARD_ALERT_EMAIL_TO or "
                "DASHBOARD_MAIL_ALLOWED"
            )
        if self.alert_smtp_password and self.alert_smtp_security == "none":
            raise ValueError("DASHBOARD_ALERT_SMTP_SECURITY=none would send the password in the open")
        return self

    def allows(self, recipient: str) -> bool:
        """Whether the operator lets figures be sent there: to this address, or to its domain."""
        if recipient in self.alert_email_to:
            return True
        allowed = {each.lower().removeprefix("@") for each in (*self.alert_email_to, *self.mail_allowed)}
        address = ADDRESS.fullmatch(recipient.lower())
        return address is not None and not allowed.isdisjoint({address[0], address["domain"]})


@lru_cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
