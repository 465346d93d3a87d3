"""What several places must say alike: the sale line in loader, PostgreSQL and dbt; the settings in their example."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from pydantic_settings import BaseSettings

from dashboard.settings import Settings as DashboardSettings
from loader.sales_line import COLUMNS, FIELDS, LINE_TYPES, SalesLine
from loader.settings import Settings as LoaderSettings

REPOSITORY = Path(__file__).parents[2]
BOOKKEEPING = {
    "file_id": "which file version the row is of",
    "row_number": "its place among the file's records",
    "source_line": "its physical line in the file",
    "sale_date": "the local date of sold_at",
    "extra": "cells that the feed does not map",
}


def raw_columns(table: str) -> dict[str, str]:
    """Type and constraints of each column, as the migrations declare them."""
    migrations = sorted((REPOSITORY / "loader" / "migrations" / "versions").glob("*.sql"))
    script = "\n".join(re.sub(r"--.*", "", path.read_text()) for path in migrations)
    (body,) = re.findall(rf"^create table raw\.{table} \((.*?)^\);", script, re.MULTILINE | re.DOTALL)
    columns = re.findall(r"^    (?!primary key|constraint|check)(\w+) (.+?),?\s*$", body, re.MULTILINE)
    added = re.findall(rf"^alter table raw\.{table}\s+add column (?:if not exists )?(\w+) (.+?);", script, re.MULTILINE)
    found = dict(columns + added)
    for name in re.findall(rf"^alter table raw\.{table}\s+alter column (\w+) drop not null;", script, re.MULTILINE):
        found[name] = found[name].replace(" not null", "")
    return found


def source_columns(table: str) -> list[str]:
    staging = REPOSITORY / "dbt_sales" / "models" / "staging"
    sources = [
        source for path in staging.rglob("*sources.yml") for source in yaml.safe_load(path.read_text())["sources"]
    ]
    (declared,) = [
        each for source in sources if source["schema"] == "raw" for each in source["tables"] if each["name"] == table
    ]
    return [column["name"] for column in declared["columns"]]


def test_the_raw_table_has_the_fields_of_the_sale_line_and_its_bookkeeping() -> None:
    assert raw_columns("sales_lines").keys() - BOOKKEEPING.keys() == set(FIELDS)
    assert raw_columns("sales_lines").keys() & BOOKKEEPING.keys() == BOOKKEEPING.keys()


def test_the_raw_table_is_copied_into_completely() -> None:
    assert {"file_id", *COLUMNS} == raw_columns("sales_lines").keys()


def test_the_raw_table_allows_null_where_the_sale_line_does() -> None:
    always = {name for name, field in SalesLine.model_fields.items() if field.default is not None}
    never_null = {name for name, declared in raw_columns("sales_lines").items() if "not null" in declared}
    assert never_null - BOOKKEEPING.keys() == always


def test_the_raw_table_allows_the_line_types_of_the_sale_line() -> None:
    assert set(re.findall(r"'(\w+)'", raw_columns("sales_lines")["line_type"])) == set(LINE_TYPES)


@pytest.mark.parametrize("table", ["sales_lines", "rejected_rows"])
def test_the_dbt_source_has_the_columns_of_the_raw_table(table: str) -> None:
    assert sorted(source_columns(table)) == sorted(raw_columns(table))


@pytest.mark.parametrize("settings", [LoaderSettings, DashboardSettings], ids=lambda settings: settings.__module__)
def test_every_setting_is_in_the_example(settings: type[BaseSettings]) -> None:
    example = (REPOSITORY / ".env.example").read_text()
    listed = set(re.findall(r"^(?:# ?)?([A-Z][A-Z0-9_]*)=", example, re.MULTILINE))
    prefix = settings.model_config.get("env_prefix", "")
    assert {f"{prefix}{name}".upper() for name in settings.model_fields} - listed == set()


def test_every_package_is_installed_with_its_files() -> None:
    """The image has what setuptools installs, and not the repository."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]
    modules = [path for folder in ("loader", "dashboard") for path in (REPOSITORY / folder).rglob("*.py")]
    assert {".".join(path.relative_to(REPOSITORY).parts[:-1]) for path in modules} == {*project["packages"]}
    data = {
        file
        for package, patterns in project["package-data"].items()
        for pattern in patterns
        for file in (REPOSITORY / package.replace(".", "/")).glob(pattern)
    }
    needed = {"*.sql", "*.yml", "*.css", "*.mako"}
    there = {
        file for folder in ("loader", "dashboard") for kind in needed for file in (REPOSITORY / folder).rglob(kind)
    }
    assert there == data
