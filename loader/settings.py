"""The one reader of the environment."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from loader.errors import SettingsError

Seconds = Annotated[float, Field(gt=0)]


class Settings(BaseSettings):
    """Every setting of the loader, its watcher and its dbt worker. `.env.example` says what each is for."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    database_url: SecretStr
    admin_database_url: SecretStr | None = None

    kafka_bootstrap_servers: str
    kafka_topic: str = "sales.files"
    kafka_dead_letter_topic: str = "sales.files.dead-letter"
    kafka_group: str = "sales-loader"
    kafka_partitions: Annotated[int, Field(gt=0)] = 4
    kafka_session_timeout_ms: Annotated[int, Field(gt=0)] = 45000

    s3_bucket: str
    s3_prefix: str = ""
    s3_endpoint_url: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: SecretStr | None = None
    aws_default_region: str = "us-east-1"

    feeds_dir: Path | None = None
    max_attempts: Annotated[int, Field(gt=0)] = 5
    retry_seconds: Seconds = 1
    retry_max_seconds: Seconds = 300
    watch_seconds: Seconds = 5
    watch_again_seconds: Seconds = 60

    dbt_project_dir: Path = Path("dbt_sales")
    transform_poll_seconds: Seconds = 5

    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def read(cls, **given: str) -> "Settings":
        """Read the environment; `given` variables, by their lower-case names, count before it.

        Raises SettingsError, one line that names each missing or wrong variable.
        """
        try:
            return cls(**given)  # type: ignore[arg-type]  # pydantic reads them as it reads the environment's
        except ValidationError as error:
            problems = "; ".join(f"{str(each['loc'][0]).upper()}: {each['msg']}" for each in error.errors())
            raise SettingsError(
                f"settings: {problems}. Set them in the environment (`. .stack/env` for the local stack; "
                "`.env.example` explains each)"
            ) from error
