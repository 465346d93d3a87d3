"""How a command begins: settings, logging, and what it opens."""

from collections.abc import Callable
from contextlib import closing
from typing import Concatenate, ParamSpec, TypeVar

from loader import log, tuning
from loader.pipeline import Pipeline
from loader.settings import Settings
from loader.sql import Session
from loader.warehouse import Warehouse

P = ParamSpec("P")
T = TypeVar("T")


def start() -> Settings:
    settings = Settings.read()
    log.configure(settings)
    tuning.for_loads()
    return settings


def open_pipeline() -> Pipeline:
    return Pipeline(start())


def ask(question: Callable[Concatenate[Session, P], T], *arguments: P.args, **parameters: P.kwargs) -> T:
    """The answer of a function of `loader/sql`."""
    with closing(Warehouse(Settings.read().database_url.get_secret_value())) as warehouse:
        warehouse.check()
        return warehouse.ask(question, *arguments, **parameters)
