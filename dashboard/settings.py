"""What the dashboard is told from outside: the only reader of its environment."""

from functools import lru_cache
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

NumberStyle = Literal["1,234.56", "1.234,56", "1 234,56"]


class Settings(BaseSettings):
    """Raises pydantic.ValidationError when the database URL is missing or a value is not one of those allowed."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="DASHBOARD_", env_ignore_empty=True)

    database_url: SecretStr = Field(description="PostgreSQL URL of the read-only role that may read kpi and ops.")
    number_style: NumberStyle = Field("1,234.56", description="How grouped digits and decimals are written.")


@lru_cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
