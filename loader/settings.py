"""The settings, which only this module reads from the environment."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    FilePath,
    PostgresDsn,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from loader.errors import SettingsError


def _postgresql(url: SecretStr) -> SecretStr:
    try:
        PostgresDsn(url.get_secret_value())
    except ValidationError:
        raise ValueError("should be of the form postgresql://user:password@host:port/database") from None
    return url


Seconds = Annotated[float, Field(gt=0)]
Positive = Annotated[int, Field(gt=0)]
Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
Endpoint = Annotated[str, Field(pattern=r"^https?://[^/\s]+/?$")]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_postgresql)]
SecurityProtocol = Annotated[Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"], BeforeValidator(str.lower)]

_SASL = ("kafka_sasl_mechanism", "kafka_sasl_username", "kafka_sasl_password")
_SSL = ("kafka_ssl_ca_location", "kafka_ssl_certificate_location", "kafka_ssl_key_location", "kafka_ssl_key_password")


class Limits(BaseSettings):
    """How large a file and its parts may be. `loader check` needs these alone: no database, no bucket."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    max_file_bytes: Positive = 20 * 1024**3
    max_text_bytes: Positive = 50 * 1024**3
    max_expansion: Positive = 200
    max_columns: Positive = 2000
    max_cell_bytes: Positive = 1024**2

    @classmethod
    def read(cls, **given: str) -> Self:
        """Read the environment; `given` variables, by their lower-case names, take precedence.

        Raises SettingsError, one line that names each missing or wrong variable.
        """
        try:
            return cls(**given)  # type: ignore[arg-type]  # pydantic reads them as it reads the environment's
        except ValidationError as error:
            problems = "; ".join(
                f"{str(each['loc'][0]).upper()}: {each['msg']}" if each["loc"] else str(each["ctx"]["error"])
                for each in error.errors()
            )
            raise SettingsError(
                f"settings: {problems}. Set them in the environment (`. .stack/env` for the local stack; "
                "`.env.example` explains each)"
            ) from error


class Settings(Limits):
    """Every setting of the loader, its watcher, its bridge and its dbt worker. `.env.example` says what each is for."""

    database_url: DatabaseUrl
    admin_database_url: DatabaseUrl | None = None

    kafka_bootstrap_servers: str
    kafka_topic: Topic = "sales.files"
    kafka_dead_letter_topic: Topic = "sales.files.dead-letter"
    kafka_group: str = "sales-loader"
    kafka_group_protocol: Annotated[Literal["classic", "consumer"], BeforeValidator(str.lower)] = "classic"
    kafka_partitions: Annotated[int, Field(gt=0)] = 4
    kafka_session_timeout_ms: Annotated[int, Field(gt=0, le=3_600_000)] = 45000
    kafka_security_protocol: SecurityProtocol = "plaintext"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ssl_ca_location: FilePath | None = None
    kafka_ssl_certificate_location: FilePath | None = None
    kafka_ssl_key_location: FilePath | None = None
    kafka_ssl_key_password: SecretStr | None = None

    s3_bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{2,62}$")]
    s3_prefix: str = ""
    s3_endpoint_url: Endpoint | None = None
    sqs_queue_url: Annotated[str, Field(pattern=r"^https?://[^/\s]+/\S+$")] | None = None
    sqs_endpoint_url: Endpoint | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: SecretStr | None = None
    aws_session_token: SecretStr | None = None
    aws_default_region: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] = "us-east-1"

    feeds_dir: Path | None = None
    max_attempts: Annotated[int, Field(gt=0)] = 5
    retry_seconds: Seconds = 1
    retry_max_seconds: Seconds = 300
    lease_seconds: Seconds = 300
    watch_seconds: Seconds = 5
    watch_again_seconds: Seconds = 60

    dbt_project_dir: Path = Path("dbt_sales")
    transform_poll_seconds: Seconds = 5
    history_seconds: Seconds = 30

    metrics_port: Annotated[int, Field(gt=0, lt=65536)] | None = None
    metrics_host: str = "127.0.0.1"

    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _kafka_group(self) -> Self:
        if self.kafka_group_protocol == "consumer" and "kafka_session_timeout_ms" in self.model_fields_set:
            raise ValueError(
                "KAFKA_SESSION_TIMEOUT_MS: has no effect with KAFKA_GROUP_PROTOCOL=consumer, where the broker decides"
            )
        return self

    @model_validator(mode="after")
    def _kafka_security(self) -> Self:
        """Every setting that the protocol needs is given, and none that it would ignore."""
        protocol = f"KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol}"
        sasl, ssl = self.kafka_security_protocol.startswith("sasl"), self.kafka_security_protocol.endswith("ssl")
        given = {name for name in _SASL + _SSL if getattr(self, name) is not None}
        needed = dict.fromkeys(_SASL, protocol) if sasl else {}
        for name, other in (
            ("kafka_ssl_certificate_location", "kafka_ssl_key_location"),
            ("kafka_ssl_key_location", "kafka_ssl_certificate_location"),
            ("kafka_ssl_key_password", "kafka_ssl_key_location"),
        ):
            if name in given:
                needed[other] = name.upper()
        ignored = [name for names, used in ((_SASL, sasl), (_SSL, ssl)) for name in names if name in given and not used]
        problems = [f"{name.upper()}: has no effect with {protocol}" for name in ignored] or [
            f"{name.upper()}: required with {reason}" for name, reason in needed.items() if name not in given
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return self
