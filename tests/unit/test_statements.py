"""Every statement says what it is for, and is run by a function of the module that has its file's name."""

import re
from pathlib import Path

import pytest

from loader.sql import statements

SQL = Path(__file__).resolve().parents[2] / "loader" / "sql"
STORIES = sorted(file.stem for file in SQL.glob("*.sql"))


@pytest.mark.parametrize("story", STORIES)
def test_every_statement_is_described(story: str) -> None:
    written = {name: str(statement) for name, statement in statements(story).items()}
    assert written
    assert not [name for name, text in written.items() if not re.match(r"-- \w", text)]


@pytest.mark.parametrize("story", STORIES)
def test_every_statement_is_run_by_the_module_of_its_story(story: str) -> None:
    run = re.findall(r'_SQL\["(\w+)"\]', (SQL / f"{story}.py").read_text())
    assert sorted(run) == sorted(statements(story))
