"""Saved views know the pages and the parameters that there are; and no SQL is put together from text."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard import saved
from dashboard.filters import LABELS

DASHBOARD = Path(__file__).resolve().parents[2] / "dashboard"
FILES = sorted(DASHBOARD.rglob("*.py"))
SQL_CALLS = {"text", "execute", "exec_driver_sql", "literal_column", "from_statement", "SQL"}


def calls(file: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call))


def test_every_parameter_that_a_widget_binds_is_known_to_saved_views() -> None:
    """Those whose key stands at the widget or at a switch; an end-to-end test asks the pages for the rest."""
    switches = {
        last.value
        for file in FILES
        for call in calls(file)
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in ("choice", "heading")
        and isinstance(last := call.args[-1], ast.Constant)
        and len(call.args) > 1
    }
    assert {"rank", "weekdays", "target-of"} <= switches
    bound = switches | {
        key.value
        for file in FILES
        for call in calls(file)
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in ("choose", "enter")
        and isinstance(key := {each.arg: each.value for each in call.keywords}.get("key"), ast.Constant)
    }
    assert bound | set(LABELS) <= saved.PARAMETERS, "say so in PARAMETERS of dashboard/saved.py"


def test_every_page_that_saved_views_know_exists() -> None:
    assert all((DASHBOARD / script).is_file() for script in saved.PAGES.values())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_sql_is_put_together_from_text(file: Path) -> None:
    """What reaches PostgreSQL is a file, a constant or an expression of SQLAlchemy; values are parameters of it."""
    for call in calls(file):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if name in SQL_CALLS and call.args:
            built = [each for each in ast.walk(call.args[0]) if isinstance(each, ast.JoinedStr | ast.Mod)]
            concatenated = isinstance(call.args[0], ast.BinOp)
            assert not built, f"line {call.lineno}"
            assert not concatenated, f"line {call.lineno}"


@pytest.mark.parametrize("name", ["", "   ", "\n", "x" * 81, "\x00"])
def test_a_name_that_nobody_could_read_is_refused(name: str) -> None:
    with pytest.raises(saved.NotSavable):
        saved.clean(name)


def test_a_name_becomes_one_line() -> None:
    assert saved.clean(" Week\r\nof \x00 it\u202e ") == "Week of it"
