"""A feed turns the text of a cell into canonical text, or says where the feed file itself is wrong."""

import re
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from loader.errors import SettingsError
from loader.feeds import Feed, Feeds, read_feed
from loader.sales_line import Day, Number, SalesLine

COLUMNS = {"sale_id": "Sale", "sold_at": "Sold", "product_id": "Product", "quantity": "Quantity", "unit_price": "Price"}
TOTALLED = {field: header for field, header in COLUMNS.items() if field != "unit_price"} | {"line_total": "Total"}
NUMBER: TypeAdapter[Decimal] = TypeAdapter(Number)
DAY: TypeAdapter[date] = TypeAdapter(Day)
_HINTS: dict[str, Any] = get_type_hints(SalesLine, include_extras=True)
SOLD_AT: TypeAdapter[datetime] = TypeAdapter(_HINTS["sold_at"])  # type: ignore[maybe-unrecognized-str-typeform]


def contract(**changes: Any) -> dict[str, Any]:
    return {"feed": "shop", "match": "shop/*.csv", "columns": dict(COLUMNS)} | changes


def feed(columns: dict[str, Any] | None = None, **form: Any) -> Feed:
    return Feed.model_validate(contract(columns=COLUMNS | (columns or {}), format=form))


def price(text: str, **form: Any) -> Decimal:
    """What the sale line holds for this cell; raises ValidationError where it is refused."""
    return NUMBER.validate_python(feed(**form).cell("unit_price", text))


def sold_at(text: str, **form: Any) -> str:
    return SOLD_AT.validate_python(feed(**form).cell("sold_at", text)).isoformat()


ENGLISH = {"thousands": ","}
GERMAN = {"decimal": ",", "thousands": "."}
FRENCH = {"decimal": ",", "thousands": " "}
SWISS = {"thousands": "'"}


@pytest.mark.parametrize(
    ("text", "form", "amount"),
    [
        ("1234.56", {}, "1234.56"),
        ("1,234.56", ENGLISH, "1234.56"),
        ("1234.56", ENGLISH, "1234.56"),
        ("1,234,567", ENGLISH, "1234567"),
        ("1.234,56", GERMAN, "1234.56"),
        ("1,5", {"decimal": ","}, "1.5"),
        ("1 234,56", FRENCH, "1234.56"),
        ("1\u202f234\u00a0567,8", FRENCH, "1234567.8"),
        ("1'234.50", SWISS, "1234.50"),
        ("1\u2019234.50", SWISS, "1234.50"),
        ("5,29,550.00", ENGLISH, "529550.00"),
        ("$1,234.50", ENGLISH, "1234.50"),
        ("$ 1,234.50", ENGLISH, "1234.50"),
        ("€1.234,50", GERMAN, "1234.50"),
        ("R$ 1.234,50", GERMAN, "1234.50"),
        ("-$5.00", {}, "-5.00"),
        ("$-5.00", {}, "-5.00"),
        ("- 5", {}, "-5"),
        ("+5", {}, "5"),
        ("(1,234.50)", ENGLISH, "-1234.50"),
        ("($1,234.50)", ENGLISH, "-1234.50"),
        ("$(4,533.75)", ENGLISH, "-4533.75"),
        ("  7.25 ", {}, "7.25"),
        ("7.", {}, "7"),
        ("007", {}, "7"),
        ("$-", {}, "0"),
        (" $ -   ", {}, "0"),
        ("R$-", GERMAN, "0"),
        (" $5,29,550.00 ", ENGLISH, "529550.00"),
        ("R$ 5.29.550,00", GERMAN, "529550.00"),
    ],
)
def test_a_number_is_read_as_the_feed_writes_it(text: str, form: dict[str, str], amount: str) -> None:
    assert str(price(text, **form)) == amount


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("ten", {}),
        ("1_000", {}),
        ("1e5", {}),
        ("NaN", {}),
        ("Infinity", {}),
        ("0x10", {}),
        ("١٢٣", {}),
        ("１２", {}),
        ("5-", {}),
        ("--5", {}),
        ("-", {}),
        ("$", {}),
        ("$$5", {}),
        ("$-$5", {}),
        ("-$-", {}),
        ("(5", {}),
        ("5)", {}),
        ("(-5)", {}),
        (".", {}),
        ("1.2.3", {}),
        ("1,234.56", {}),
        ("1,5", {}),
        ("1,23", ENGLISH),
        ("1,2345", ENGLISH),
        (",123", ENGLISH),
        ("1,,234", ENGLISH),
        ("1.5", GERMAN),
        ("1.5", {"decimal": ","}),  # would be 1500 in one sheet and 1.5 in another
        ("+1.5", {"decimal": ","}),
        ("1.234.56", GERMAN),
        ("1'234", FRENCH),
    ],
)
def test_a_number_that_the_feed_does_not_write_so_is_refused(text: str, form: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="Input should be a number"):
        price(text, **form)


DIGITS = st.integers(0, 10**12).map(str)


@given(
    whole=DIGITS,
    fraction=st.text("0123456789", min_size=1, max_size=6),
    minus=st.booleans(),
    lakh=st.booleans(),
    form=st.sampled_from([{"decimal": ".", **ENGLISH}, GERMAN, FRENCH, {"decimal": ".", **SWISS}]),
)
def test_grouping_never_changes_an_amount(
    whole: str, fraction: str, minus: bool, lakh: bool, form: dict[str, str]
) -> None:
    head, last = whole[:-3], whole[-3:]
    step = 2 if lakh else 3
    groups = [head[max(end - step, 0) : end] for end in range(len(head), 0, -step)][::-1]
    text = f"{'-' * minus}{form['thousands'].join([*groups, last])}{form['decimal']}{fraction}"
    assert price(text, **form) == Decimal(f"{'-' * minus}{whole}.{fraction}")


@given(st.text("0123456789.,-+ ()$'", max_size=12), st.sampled_from([{}, ENGLISH, GERMAN, FRENCH, SWISS]))
def test_what_is_accepted_has_the_digits_of_the_cell_in_their_order(text: str, form: dict[str, str]) -> None:
    try:
        amount = price(text, **form)
    except ValidationError:
        return
    digits = re.sub(r"\D", "", text)
    assert int(format(abs(amount), "f").replace(".", "")) == int(digits or 0)
    assert digits or re.fullmatch(r"\$ *-", text.strip())


@given(st.decimals(0, 100, places=4))
def test_a_percentage_is_scaled_exactly(percentage: Decimal) -> None:
    discounted = feed({"discount_rate": {"header": "Discount", "percent": True}})
    cell = discounted.cell("discount_rate", str(percentage))
    assert NUMBER.validate_python(cell) == percentage / 100


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("15", "0.15"),
        ("5", "0.05"),
        ("0", "0.00"),
        ("100", "1.00"),
        ("7.5", "0.075"),
        ("-5", "-0.05"),
        ("+1", "0.01"),
        ("0.1", "0.001"),
    ],
)
def test_fifteen_per_cent_is_a_share_of_0_15(text: str, share: str) -> None:
    discounted = feed({"discount_rate": {"header": "Discount", "percent": True}})
    assert discounted.cell("discount_rate", text) == share


def test_a_percent_sign_is_a_suffix_that_the_feed_names() -> None:
    discounted = feed({"discount_rate": {"header": "Discount", "percent": True, "strip_suffix": "%"}})
    assert [discounted.cell("discount_rate", text) for text in ("15%", "15 %", "0")] == ["0.15", "0.15", "0.00"]


@pytest.mark.parametrize(
    ("scale", "text", "stars"),
    [
        *((10, str(rating), str((rating + 1) // 2)) for rating in range(1, 11)),
        (10, "8.999999", "4"),
        (10, "9/10", "5"),
        (10, "0.1", "1"),
        (5, "4.5/5", "5"),
        (5, " 4.49 / 5.0", None),
        (5, "4.49/5", "4"),
        (5, "3.5", "4"),
        (7, "3.5", "3"),
        (100, "69.999999", "3"),
        (100, "70", "4"),
    ],
)
def test_a_rating_is_its_share_of_five_stars_and_half_a_star_goes_up(scale: int, text: str, stars: str | None) -> None:
    rated = feed({"customer_rating": {"header": "Stars", "scale": scale}})
    read = rated.cell("customer_rating", text)
    assert read == stars or (stars is None and read and not read.isdigit())
    assert rated.cells("customer_rating", [text]) == [read]


@pytest.mark.parametrize(
    "text", ["0", "-1", "10.000001", "11", "4/5", "8/", "/10", "8/ten", "8/10/10", f"8.{'0' * 30}", "ten"]
)
def test_a_rating_that_is_none_of_its_scale_is_refused_with_the_scale(text: str) -> None:
    rated = feed({"customer_rating": {"header": "Stars", "scale": 10}})
    assert not str(rated.cell("customer_rating", text)).isdigit()
    assert rated.way_of_writing("customer_rating", text) == (
        "above 0 and at most 10, the scale that the feed states, as in 10 or 10/10"
    )


@pytest.mark.parametrize(
    "column", [{"strip_suffix": "%"}, {"strip_suffix": " %"}, {"pattern": r"^([\d.]+) ?%$"}], ids=str
)
@pytest.mark.parametrize("text", ["15", "0.15", "0.1"])
def test_a_percentage_without_its_sign_where_others_have_it_is_refused(column: dict[str, str], text: str) -> None:
    discounted = feed({"discount_rate": {"header": "Discount", "percent": True} | column})
    with pytest.raises(ValidationError, match="Input should be a number"):
        NUMBER.validate_python(discounted.cell("discount_rate", text))
    assert "0.1 may be 0.1% or 10%" in discounted.way_of_writing("discount_rate", text)


@pytest.mark.parametrize(
    ("text", "forms", "day"),
    [
        ("2026-03-04", ["%Y-%m-%d"], "2026-03-04"),
        ("04/03/2026", ["%d/%m/%Y"], "2026-03-04"),
        ("03/04/2026", ["%m/%d/%Y"], "2026-03-04"),
        ("4.3.26", ["%d.%m.%y"], "2026-03-04"),
        ("Friday, August 25, 2017", ["%A, %B %d, %Y"], "2017-08-25"),
        ("20180111", ["%Y%m%d"], "2018-01-11"),
        ("2026-03-04", ["%d/%m/%Y", "%Y-%m-%d"], "2026-03-04"),
        ("04/03/2026", ["%d/%m/%Y", "%m/%d/%Y"], "2026-03-04"),
        (" 2026-03-04 ", ["%Y-%m-%d"], "2026-03-04"),
        ("2024-02-29", ["%Y-%m-%d"], "2024-02-29"),
    ],
)
def test_a_date_is_read_in_the_first_format_that_fits(text: str, forms: list[str], day: str) -> None:
    delivered = feed({"delivery_date": "Delivered"}, dates=forms)
    assert delivered.cell("delivery_date", text) == day
    assert DAY.validate_python(day).isoformat() == day


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("2024-02-30", "%Y-%m-%d"),
        ("2023-02-29", "%Y-%m-%d"),
        ("2026-13-01", "%Y-%m-%d"),
        ("20240105", "%Y-%m-%d"),
        ("1704412800", "%Y-%m-%d"),
        ("2026-03-04 10:00", "%Y-%m-%d"),
        ("2026-03-04", "%d/%m/%Y"),
        ("2024-01-25", "%Y-%d-%m"),  # is no date there, and must not pass for the 25th of January
        ("٢٠٢٦-٠٣-٠٤", "%Y-%m-%d"),
        ("yesterday", "%Y-%m-%d"),
    ],
)
def test_a_date_in_no_format_of_the_feed_is_refused(text: str, form: str) -> None:
    delivered = feed({"delivery_date": "Delivered"}, dates=[form])
    with pytest.raises(ValidationError, match="date in one of the feed's formats"):
        DAY.validate_python(delivered.cell("delivery_date", text))
    with pytest.raises(ValidationError, match="date in one of the feed's formats"):
        sold_at(text, dates=[form])


@pytest.mark.parametrize(
    ("text", "form", "zone", "moment"),
    [
        ("2026-03-04", "%Y-%m-%d", "UTC", "2026-03-04T00:00:00+00:00"),
        ("2026-01-15 09:30:00", "%Y-%m-%d %H:%M:%S", "Europe/London", "2026-01-15T09:30:00+00:00"),
        ("2026-07-15 09:30:00", "%Y-%m-%d %H:%M:%S", "Europe/London", "2026-07-15T09:30:00+01:00"),
        ("2026-07-15 09:30:00", "%Y-%m-%d %H:%M:%S", "Asia/Kolkata", "2026-07-15T09:30:00+05:30"),
        ("2026-03-29 00:59:59", "%Y-%m-%d %H:%M:%S", "Europe/London", "2026-03-29T00:59:59+00:00"),
        ("2026-03-29 02:00:00", "%Y-%m-%d %H:%M:%S", "Europe/London", "2026-03-29T02:00:00+01:00"),
        # The hour that a clock shows twice is the first of the two.
        ("2026-10-25 01:30:00", "%Y-%m-%d %H:%M:%S", "Europe/London", "2026-10-25T01:30:00+01:00"),
        ("2026-03-04 23:30 -0400", "%Y-%m-%d %H:%M %z", "America/New_York", "2026-03-04T22:30:00-05:00"),
        # The local date counts: what is late on the 4th in UTC is the 5th in Tokyo.
        ("2026-03-04T23:30:00+0000", "%Y-%m-%dT%H:%M:%S%z", "Asia/Tokyo", "2026-03-05T08:30:00+09:00"),
        ("2026-03-04T23:30:00Z", "%Y-%m-%dT%H:%M:%S%z", "Asia/Tokyo", "2026-03-05T08:30:00+09:00"),
    ],
)
def test_a_time_is_local_to_the_feeds_zone(text: str, form: str, zone: str, moment: str) -> None:
    assert sold_at(text, dates=[form], timezone=zone) == moment


@pytest.mark.parametrize("text", ["9999-12-31 23:59:59-1200", "0001-01-01 00:00:00+1200"])
def test_a_time_beyond_the_calendar_in_the_feeds_zone_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="date in one of the feed's formats"):
        sold_at(text, dates=["%Y-%m-%d %H:%M:%S%z"])


def test_a_time_with_a_zone_of_its_own_needs_the_feeds_format_too() -> None:
    with pytest.raises(ValidationError, match="date in one of the feed's formats"):
        sold_at("2026-03-04T23:30:00Z", dates=["%d/%m/%Y"], timezone="Asia/Tokyo")


def test_an_empty_token_is_empty_in_every_column() -> None:
    nulls = feed({"product_name": "Name"}, nulls=["", "N/A", "nan"])
    for field in ("product_name", "unit_price", "sold_at"):
        assert [nulls.cell(field, text) for text in ("", "  ", "N/A", " nan ")] == [None] * 4


def test_a_token_that_the_feed_does_not_list_is_text() -> None:
    assert feed({"sales_region": "Country"}).cell("sales_region", "NA") == "NA"


def test_an_identifier_stays_as_it_is_written() -> None:
    texts = ["007", "1e5", "17850.0", "A,1", "(12)"]
    assert [feed().cell("product_id", text) for text in texts] == texts


def test_a_suffix_is_stripped_where_it_stands() -> None:
    stripped = feed({"customer_id": {"header": "Customer", "strip_suffix": ".0"}})
    texts = ["17850.0", "17850", "17850.00", ".0.0"]
    assert [stripped.cell("customer_id", text) for text in texts] == ["17850", "17850", "17850.00", ".0"]


def test_a_pattern_takes_its_group_or_the_whole_match_or_leaves_the_cell() -> None:
    rated = feed(
        {
            "customer_rating": {"header": "Rating", "pattern": r"^(\d+) stars?$"},
            "store_id": {"header": "Store", "pattern": r"S\d+"},
        }
    )
    assert [rated.cell("customer_rating", text) for text in ("4 stars", "1 star", "4")] == ["4", "1", "4"]
    assert [rated.cell("store_id", text) for text in ("Shop S12, north", "online")] == ["S12", "online"]
    with pytest.raises(ValidationError, match="should be a number"):
        NUMBER.validate_python(rated.cell("customer_rating", "four stars"))


@pytest.mark.timeout(20)
def test_a_pattern_takes_no_time_over_a_hostile_cell() -> None:
    columns = COLUMNS | {"store_id": {"header": "Store", "pattern": r"(\d+) pieces"}}
    rules = [{"when": {"product_id": r"\d+ pieces"}, "is": "return"}]
    made = Feed.model_validate({"feed": "f", "match": "*", "columns": columns, "line_type": rules})
    for text in ("7 pieces", "1" * 1_000_000):
        assert made.cell("store_id", text) == text.removesuffix(" pieces")
        assert made.line_type_of({"product_id": text}) == ("return" if text == "7 pieces" else None)


def test_the_first_rule_whose_patterns_all_match_decides_the_line_type() -> None:
    ruled = Feed.model_validate(
        contract(
            line_type=[
                {"when": {"sale_id": "^C", "quantity": "^-"}, "is": "return"},
                {"when": {"sale_id": "^C"}, "is": "cancellation"},
                {"when": {"product_id": "^$"}, "is": "adjustment"},
            ]
        )
    )
    sale: dict[str, str | None] = {"sale_id": "C1", "quantity": "-1", "product_id": "P"}
    assert ruled.line_type_of(sale) == "return"
    assert ruled.line_type_of(sale | {"quantity": "1"}) == "cancellation"
    assert ruled.line_type_of(sale | {"sale_id": "1"}) is None
    assert ruled.line_type_of(sale | {"sale_id": "1", "product_id": None}) == "adjustment"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"feed": "Shop!"}, "feed: String should match pattern"),
        ({"feed": None}, "feed: Input should be a valid string"),
        ({"match": ""}, "match: String should have at least 1 character"),
        ({"colums": {}}, "colums: Extra inputs are not permitted"),
        ({"columns": {"sale_id": "Sale"}}, "required but not mapped: sold_at, product_id, quantity, unit_price"),
        (
            {"columns": COLUMNS | {"prise": "Price"}},
            "columns.prise.[key]: Value error, 'prise' is not a canonical field",
        ),
        ({"columns": COLUMNS | {"sale_id": {}}}, "columns.sale_id: Value error, a column has exactly one of header"),
        (
            {"columns": COLUMNS | {"sale_id": {"header": "A", "value": "B"}}},
            "columns.sale_id: Value error, a column has",
        ),
        ({"columns": COLUMNS | {"sale_id": {"header": "A", "suffix": "x"}}}, "columns.sale_id.suffix: Extra inputs"),
        (
            {"columns": COLUMNS | {"sale_id": {"header": "A", "pattern": "("}}},
            "columns.sale_id.pattern: Input should be",
        ),
        ({"columns": COLUMNS | {"sale_id": 7}}, "columns.sale_id: Input should be"),
        (
            {"columns": COLUMNS | {"discount_rate": "Rate", "discount_amount": "Amount"}},
            "map discount_rate or discount_amount, not both",
        ),
        (
            {"columns": COLUMNS | {"line_total": "Total"}},
            "map unit_price or line_total, not both: a line is worth quantity × price, which stated_total checks",
        ),
        (
            {"columns": TOTALLED | {"stated_total": "Sum"}},
            "map line_total or stated_total, not both: the total counts as it stands, or is only checked",
        ),
        (
            {"columns": TOTALLED | {"line_total": {"header": "Total", "before_discount": True}}},
            "line_total is before_discount: map discount_rate or discount_amount, to be taken off",
        ),
        (
            {"columns": COLUMNS | {"unit_price": {"header": "Price", "before_discount": True}, "discount_rate": "Off"}},
            "unit_price is no line_total, so its column has no before_discount",
        ),
        (
            {"columns": COLUMNS | {"line_cost": "Cost", "stated_cost": "COGS"}},
            "map line_cost or stated_cost, not both: the cost of the line counts as it stands, or is only checked",
        ),
        (
            {"columns": TOTALLED | {"line_total": {"header": "Total", "optional": True}}},
            "line_total is required of every row, so its column is not optional",
        ),
        (
            {"columns": {field: column for field, column in TOTALLED.items() if field != "line_total"}},
            "required but not mapped: unit_price or line_total",
        ),
        (
            {"columns": COLUMNS | {"quantity": {"header": "Qty", "scale": 10}}},
            "quantity is no rating, so its column has",
        ),
        (
            {"columns": COLUMNS | {"customer_rating": {"header": "Stars", "scale": 1}}},
            "columns.customer_rating.scale: Input should be greater than or equal to 2",
        ),
        ({"format": {"delimiter": ";;"}}, "format.delimiter: String should have at most 1 character"),
        ({"format": {"delimiter": ""}}, "format.delimiter: String should have at least 1 character"),
        ({"format": {"delimiter": "§"}}, "format.delimiter: Value error, '§' is not a delimiter"),
        ({"format": {"delimiter": '"'}}, "format.delimiter: Value error, '\"' is not a delimiter"),
        ({"format": {"delimiter": "\n"}}, "format.delimiter: Value error, '\\n' is not a delimiter"),
        ({"format": {"encoding": "utf8mb4"}}, "format.encoding: Value error, 'utf8mb4' is not an encoding such as"),
        ({"format": {"encoding": "base64"}}, "format.encoding: Value error, 'base64' is not an encoding such as"),
        ({"format": {"decimal": "·"}}, "format.decimal: Input should be '.' or ','"),
        ({"format": {"thousands": "_"}}, "format.thousands: Input should be"),
        ({"format": {"decimal": ",", "thousands": ","}}, "format: Value error, decimal and thousands are both ','"),
        ({"format": {"timezone": "Mars/Olympus"}}, "format.timezone: Value error, 'Mars/Olympus' is not a time zone"),
        ({"format": {"timezone": "../UTC"}}, "format.timezone: Value error, '../UTC' is not a time zone"),
        (
            {"columns": COLUMNS | {"discount_rate": {"header": "Off", "strip_suffix": " %"}}},
            "columns.discount_rate: Value error, strip_suffix takes a percent sign away",
        ),
        ({"format": {"dates": []}}, "format.dates: Tuple should have at least 1 item"),
        ({"format": {"dates": "%Y-%m-%d"}}, "format.dates: Input should be a valid tuple"),
        ({"format": {"dates": ["%Y-%m-%d", "YYYY-MM-DD"]}}, "format.dates.1: Value error, 'YYYY-MM-DD' does not give"),
        ({"format": {"dates": ["%m/%Y"]}}, "format.dates.0: Value error, '%m/%Y' does not give year, month and day"),
        ({"format": {"dates": ["%Y-%m-%d %I:%M"]}}, "does not tell morning from evening"),
        ({"format": {"dates": ["%Y-%m-%d %H:%M %p"]}}, "does not tell morning from evening"),
        ({"format": {"dates": ["%Y-%m-%d %H:%M %Z%z"]}}, "has a zone twice"),
        ({"format": {"dates": ["%Y %Q"]}}, "format.dates.0: Value error, '%Y %Q' is not a date format"),
        ({"format": {"dates": ["%Y-%m-%d %Y"]}}, "format.dates.0: Value error, '%Y-%m-%d %Y' is not a date format"),
        (
            {"line_type": [{"when": {"sale_id": "^C"}, "is": "refund"}]},
            "line_type.0.is: Input should be 'sale', 'return'",
        ),
        ({"line_type": [{"when": {}, "is": "return"}]}, "line_type.0.when: Dictionary should have at least 1 item"),
        ({"line_type": [{"when": {"sale_id": "["}, "is": "return"}]}, "line_type.0.when.sale_id: Input should be"),
        ({"line_type": [{"when": {"sale": "^C"}, "is": "return"}]}, "line_type.0.when.sale.[key]: Value error, 'sale'"),
        ({"line_type": [{"when": {"store_id": "^C"}, "is": "return"}]}, "tests store_id, which columns does not map"),
        ({"rejects": {"max_ratio": 5}}, "rejects.max_ratio: Input should be less than or equal to 1"),
        ({"rejects": {"max_rows": -1}}, "rejects.max_rows: Input should be greater than or equal to 0"),
        ({"reupload": "overwrite"}, "reupload: Input should be 'supersede'"),
        ({"duplicates": "drop"}, "duplicates: Input should be 'keep'"),
    ],
)
def test_a_wrong_feed_is_one_error_that_names_file_path_and_expectation(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "shop.yml"
    path.write_text(yaml.safe_dump(contract(**changes), allow_unicode=True), encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        Feeds(tmp_path)
    assert str(caught.value).startswith(f"feed {path}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_that_is_wrong_in_a_feed_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "shop.yml"
    wrong = contract(match="", format={"timezone": "Mars/Olympus", "decimal": "x"})
    path.write_text(yaml.safe_dump(wrong), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"match: .*format\.decimal: .*format\.timezone: "):
        read_feed(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"- a list",
        b"feed: [unclosed",
        b"feed: \xff",
        b"feed: !!python/object:os.system {}",
        b"feed: 2026-02-30",
        b"{[a]: b}",
        b"\tfeed: shop",
    ],
)
def test_what_is_no_feed_at_all_is_one_error_that_names_the_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "shop.yml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=rf"^feed {re.escape(str(path))}: "):
        Feeds(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"feed: shop\nmatch: a\nfeed: other\n", "line 3: the key 'feed' stands twice"),
        (
            b"feed: shop\ncolumns:\n  sale_id: A\n  quantity: B\n  sale_id: C\n",
            "line 5: the key 'sale_id' stands twice",
        ),
        (b"feed: shop\nformat: {decimal: '.',\n 'decimal': ','}\n", "line 3: the key 'decimal' stands twice"),
    ],
)
def test_a_feed_that_says_the_same_key_twice_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "shop.yml"
    path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        read_feed(path)
    assert str(caught.value) == f"feed {path}: not readable as YAML: {said}"


@pytest.mark.parametrize("header", ["n", "y", "1e3", "NaN"])
def test_a_short_header_is_a_text_whatever_else_it_could_be(header: str, tmp_path: Path) -> None:
    path = tmp_path / "shop.yml"
    path.write_text(
        f"feed: shop\nmatch: a\ncolumns: {{sale_id: A, sold_at: B, product_id: C, quantity: {header}, unit_price: D}}\n"
    )
    assert read_feed(path).columns["quantity"].header == header


OF_ORDERS: dict[str, Any] = {
    "feed": "orders",
    "match": "orders/*",
    "kind": "order_headers",
    "columns": {"sale_id": "Order", "sold_at": "Date", "customer_id": "Customer"},
}
OF_ITEMS: dict[str, Any] = {
    "feed": "items",
    "match": "items/*",
    "order_headers": "orders",
    "columns": {"sale_id": "Order", "product_id": "Product", "quantity": "Qty", "unit_price": "Price"},
}


def pair(folder: Path, **changes: dict[str, Any]) -> Feeds:
    for said in (OF_ORDERS, OF_ITEMS):
        name = said["feed"]
        (folder / f"{name}.yml").write_text(yaml.safe_dump(said | changes.get(name, {})), encoding="utf-8")
    return Feeds(folder)


def test_items_are_dated_by_the_feed_of_their_orders(tmp_path: Path) -> None:
    feeds = pair(tmp_path, orders={"format": {"timezone": "Asia/Tokyo"}})
    orders, items = feeds.named("orders"), feeds.named("items")
    assert (orders.pair, items.pair, feeds.named("sales_data").pair) == ("orders", "orders", None)
    assert feeds.dating(items) == feeds.dating(orders) == orders


def test_a_sheet_of_orders_has_one_row_for_each_unless_its_feed_says_otherwise(tmp_path: Path) -> None:
    orders = pair(tmp_path).named("orders")
    assert (orders.duplicates, orders.unique_key) == ("key", ("sale_id",))
    assert pair(tmp_path, orders={"duplicates": "keep"}).named("orders").unique_key == ()
    by_customer = pair(tmp_path, orders={"unique_key": ["sale_id", "customer_id"]}).named("orders")
    assert (by_customer.duplicates, by_customer.unique_key) == ("key", ("sale_id", "customer_id"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"items": {"order_headers": "order"}},
            "items.yml: order_headers: 'order' is no feed of order headers: those say `kind: order_headers`, and are",
        ),
        ({"items": {"order_headers": "items"}}, "items.yml: order_headers: 'items' is no feed of order headers"),
        (
            {"orders": {"kind": "lines"}},
            "orders.yml: feed: Value error, columns: required but not mapped: product_id, quantity, unit_price or",
        ),
        (
            {"items": {"columns": OF_ITEMS["columns"] | {"sold_at": "Date"}}},
            "order_headers: the date is that of the order, so columns does not map sold_at",
        ),
        (
            {"items": {"columns": {"product_id": "Product", "quantity": "Qty", "unit_price": "Price"}}},
            "items.yml: feed: Value error, columns: required but not mapped: sale_id.",
        ),
        ({"orders": {"columns": {"sale_id": "Order"}}}, "columns: required but not mapped: sold_at."),
        (
            {"orders": {"columns": OF_ORDERS["columns"] | {"product_id": "Product", "shipping_cost": "Freight"}}},
            "columns: product_id, shipping_cost is of a line, and a row of this feed is an order (kind: order_headers)",
        ),
        ({"orders": {"order_headers": "orders"}}, "a row of this feed is an order itself (kind: order_headers)"),
        ({"orders": {"shares": ["customers"]}}, "shares: belongs into the feed of the items"),
        (
            {"orders": {"columns": OF_ORDERS["columns"] | {"sold_at": {"header": "Date", "optional": True}}}},
            "sold_at is required of every row, so its column is not optional",
        ),
        (
            {"orders": {"columns": {"sale_id": {"value": "1"}, "sold_at": {"value": "2026-03-02"}}}},
            "columns: sale_id and sold_at are all constants: nothing tells a row from none",
        ),
        (
            {"items": {"columns": OF_ITEMS["columns"] | {"quantity": {"value": "1"}, "unit_price": {"value": "1"}}}},
            "columns: quantity and unit_price are all constants: nothing tells a row from none",
        ),
        ({"items": {"kind": "items"}}, "items.yml: kind: Input should be 'lines' or 'order_headers'"),
    ],
)
def test_a_pair_of_feeds_that_does_not_fit_is_one_error_that_names_file_and_key(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as caught:
        pair(tmp_path, **changes)
    assert said in str(caught.value)
    assert str(caught.value).endswith("docs/adding-a-feed.md explains each key")


def test_a_folder_that_is_named_like_a_feed_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "shop.yml").mkdir()
    with pytest.raises(SettingsError, match=r"^feed .*shop\.yml: "):
        Feeds(tmp_path)


def test_a_feeds_dir_that_is_not_there_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^FEEDS_DIR=.*nowhere is not a folder: create it, or unset FEEDS_DIR"):
        Feeds(tmp_path / "nowhere")


def write(folder: Path, name: str, **changes: Any) -> None:
    (folder / name).write_text(yaml.safe_dump(contract(**changes)), encoding="utf-8")


def found(feeds: Feeds, key: str) -> str | None:
    match = feeds.for_key(key)
    return match.feed if match else None


def test_a_key_goes_to_the_first_feed_that_matches_in_order_of_file_name(tmp_path: Path) -> None:
    write(tmp_path, "20_rest.yml", feed="rest", match="shop/*")
    write(tmp_path, "10_uk.yaml", feed="uk", match="shop/uk_*.csv")
    (tmp_path / "notes.txt").write_text("no feed")
    feeds = Feeds(tmp_path)
    assert found(feeds, "shop/uk_1.csv") == "uk"
    assert found(feeds, "shop/uk_2026/03/day.csv") == "uk"
    assert found(feeds, "shop/uk_1.CSV") == "rest"
    assert found(feeds, "other/uk_1.csv") is None
    assert found(feeds, "a/shop/uk_1.csv") is None


def test_own_feeds_come_before_the_built_in_ones(tmp_path: Path) -> None:
    key = "CSV/sales_data_20260314.csv"
    assert found(Feeds(), key) == "sales_data"
    write(tmp_path, "zz.yml", feed="own_sheet", match="CSV/sales_data_2026*.csv")
    assert found(Feeds(tmp_path), key) == "own_sheet"
    assert found(Feeds(tmp_path), "CSV/sales_data_20250314.csv") == "sales_data"


def test_a_feed_is_found_by_name_and_an_unknown_name_lists_those_that_are_there(tmp_path: Path) -> None:
    write(tmp_path, "shop.yml")
    feeds = Feeds(tmp_path)
    assert feeds.named("shop").match == "shop/*.csv"
    with pytest.raises(SettingsError, match="there is no feed 'shops': those are shop, sales_data"):
        feeds.named("shops")


@pytest.mark.parametrize(
    ("limits", "rejected", "read", "said"),
    [
        ({}, 5, 100, None),
        ({}, 6, 100, "6 of 100 rows are bad (6.0%), and the feed allows 5.0% (rejects.max_ratio)"),
        ({}, 0, 0, None),
        ({"max_ratio": 0}, 1, 1000, "1 of 1000 rows are bad (0.1%), and the feed allows 0.0% (rejects.max_ratio)"),
        ({"max_ratio": None}, 100, 100, None),
        ({"max_ratio": None, "max_rows": 3}, 3, 3, None),
        ({"max_rows": 3}, 4, 1000, "4 bad rows, and the feed allows 3 (rejects.max_rows)"),
    ],
)
def test_too_many_bad_rows_reject_the_file(limits: dict[str, Any], rejected: int, read: int, said: str | None) -> None:
    assert Feed.model_validate(contract(rejects=limits)).rejects.exceeded(rejected, read) == said
