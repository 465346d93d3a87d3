"""A cell goes to a spreadsheet and back unchanged, and none is run there as a formula."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.corrections import _bare, _guarded

CELLS = st.text() | st.text("='+-@\t\r'1.,", min_size=1)


@given(CELLS)
def test_a_guarded_cell_comes_back_as_it_was(cell: str) -> None:
    assert _bare(_guarded(cell)) == cell


@given(CELLS)
def test_no_cell_but_a_number_begins_as_a_formula(cell: str) -> None:
    guarded = _guarded(cell)
    assert not re.match(r"[=+\-@\t\r]", guarded) or re.fullmatch(r"[+-]?[\d.,]+", guarded, re.ASCII)


@pytest.mark.parametrize(
    "cell", ["=1+1", "@SUM(A1)", "-2+3", "+cmd|' /C calc'!A0", "\t=1", "\r=1", "- 5", "-1e5", "'=1"]
)
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(cell: str) -> None:
    assert _guarded(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["-5", "+1.50", "-1.234,56", "2026-01-01", "", "'s-Hertogenbosch", "a=b"])
def test_a_number_and_a_plain_text_stay_as_they_are(cell: str) -> None:
    assert _guarded(cell) == cell
