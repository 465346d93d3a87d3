"""Two cells that look the same are the same text."""

import pytest

from loader.cells import as_seen


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("A\u2013\u200c1\u200d", "A\u20131"),  # beside a dash, which is no letter
        ("\u200c5 €\u200d", "5 €"),
        ("A\u061c1", "A1"),
        ("A\u2062\u034f1", "A1"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("क्\u200dष", "क्\u200dष"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("میز\u200c", "میز"),
        ("\u200d", ""),
        (' "Nord"', "Nord"),
        ('\ufeff"S1"', "S1"),  # where sheets were put one behind the other
        ('\u00a0"S ""1"""', 'S "1"'),
        ('"S1"', '"S1"'),
    ],
)
def test_what_nobody_sees_is_taken_out_and_what_joins_letters_stays(text: str, seen: str) -> None:
    assert as_seen(text) == seen
