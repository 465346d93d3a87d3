"""docker-compose.yml as the suite reads it: versions, commands and settings of each service, as they stand there."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from scripts.stack import REPOSITORY

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
VARIABLE = re.compile(r"\$\{(\w+)(?:(:?[-?])([^}]*))?\}")


def version(service: str) -> str:
    """The version of the service's image, such as 4.2.0."""
    return str(SERVICES[service]["image"]).rpartition(":")[2].removeprefix("v")


def environment(service: str, given: Mapping[str, str], addresses: Mapping[str, str]) -> dict[str, str]:
    """The service's environment, with `given` as the `.env` file; each of the addresses gives way to its other one."""
    return {name: at(filled(str(value), given), addresses) for name, value in SERVICES[service]["environment"].items()}


def filled(text: str, given: Mapping[str, str]) -> str:
    """The text with its variables filled in, as compose does it."""

    def value(match: re.Match[str]) -> str:
        name, how, otherwise = match.groups()
        if given.get(name) or (how == "-" and name in given):
            return given[name]
        assert how in ("-", ":-"), f"compose would stop here: {name} is not given"
        return str(otherwise)

    return VARIABLE.sub(value, text)


def at(text: str, addresses: Mapping[str, str]) -> str:
    for name, other in addresses.items():
        text = text.replace(name, other)
    return text
