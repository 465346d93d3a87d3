"""Which dates hold a page of order lines."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from dashboard.order_lines import dates_of_page

FIRST = date(2026, 1, 1)


@given(
    counts=st.lists(st.integers(0, 7), min_size=1, max_size=30),
    limit=st.integers(1, 10),
    offset=st.integers(0, 120),
    descending=st.booleans(),
)
def test_a_page_read_within_its_dates_is_the_page_of_the_whole_period(
    counts: list[int], limit: int, offset: int, descending: bool
) -> None:
    days = {FIRST + timedelta(number): count for number, count in enumerate(counts) if count}
    lines = [(day, number) for day in sorted(days, reverse=descending) for number in range(days[day])]
    start, end, skipped = dates_of_page(days, limit, offset, descending)
    page = lines[offset : offset + limit]
    if not page:
        assert (start, end) == (None, None)
        return
    assert start is not None
    assert end is not None
    assert {start, end} == {min(day for day, _ in page), max(day for day, _ in page)}
    within = [line for line in lines if start <= line[0] <= end]
    assert within[skipped : skipped + limit] == page
