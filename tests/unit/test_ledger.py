"""The state machine is read in loader/ledger.py: the statements that change a state, or choose by one, say the same."""

import re
from pathlib import Path

import pytest

from loader import ledger
from loader.ledger import State

SQL = Path(ledger.__file__).parent / "sql"
STATEMENTS = dict(
    pair
    for file in sorted(SQL.glob("*.sql"))
    for pair in re.findall(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", file.read_text(), re.MULTILINE | re.DOTALL)
)


def chosen(statement: str) -> frozenset[State]:
    """The states in the condition of the statement."""
    condition = STATEMENTS[statement].rpartition("where")[2]
    excluded, listed = re.findall(r"status (not )?in \(([^)]*)\)", condition)[0]
    named = frozenset(map(State, re.findall(r"'(\w+)'", listed)))
    return frozenset(State) - named if excluded else named


@pytest.mark.parametrize(
    ("statement", "step"),
    {
        "skip": ledger.SKIP,
        "supersede": ledger.SUPERSEDE,
        "replaced": ledger.REPLACE,
        "fail": ledger.GIVE_UP,
        "source_gone": ledger.MISS,
    }.items(),
)
def test_a_statement_changes_exactly_the_states_that_its_step_takes(statement: str, step: ledger.Step) -> None:
    assert chosen(statement) == step.takes
    assert f"status = '{step.leads_to}'" in STATEMENTS[statement]


def test_a_deletion_marks_what_waits_and_what_counts() -> None:
    assert chosen("mark_removed") == ledger.REMOVE.takes | {State.LOADED}
    assert chosen("waiting_objects") == ledger.WAITING


def test_versions_that_count_side_by_side_are_not_superseded() -> None:
    beside = re.search(r"'append' or status not in \(([^)]*)\)", STATEMENTS["supersede"])
    assert beside
    assert ledger.SUPERSEDE.takes - ledger.SUPERSEDE_BESIDE.takes == set(re.findall(r"'(\w+)'", beside[1]))


def test_only_loaded_versions_are_forgotten_and_corrected() -> None:
    assert "status = 'withdrawn'" in STATEMENTS["withdraw"]
    assert "and status = 'loaded'" in STATEMENTS["withdraw"]
    assert {*ledger.FORGET.takes, *ledger.CORRECT.takes} == {State.LOADED}


def test_the_statements_name_no_state_that_there_is_not() -> None:
    compared = re.findall(r"(?<![._a-z])status (?:=|<>|(?:not )?in) (\([^)]*\)|'\w+')", "".join(STATEMENTS.values()))
    named = {word for each in compared for word in re.findall(r"'(\w+)'", each)}
    runs = {"running", "succeeded"}  # states of a run of dbt, whose third is `failed`
    assert named - runs <= {*State}
