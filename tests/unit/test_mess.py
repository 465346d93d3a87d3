"""One sheet per kind of mess that real sheets contain, and what becomes of its rows."""

from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from loader.decoding import decode
from loader.feeds import Feed
from loader.header import Drift
from loader.pipeline import check_file
from loader.reader import Reader
from loader.rejects import Rejected
from loader.settings import Limits
from loader.validation import Validator
from loader.verdict import Counts

COLUMNS: dict[str, Any] = {
    "sale_id": "id",
    "sold_at": "day",
    "product_id": "product",
    "quantity": "n",
    "unit_price": "price",
}
GOOD = ["S1,2026-03-02,0042,2,9.99", "S2,2026-03-02,0043,1,5.00"]


@dataclass(frozen=True)
class Mess:
    """A sheet, what its feed says beside COLUMNS, and the verdict: values of the good rows, faults by line, skipped."""

    content: str | bytes
    said: dict[str, Any] = field(default_factory=dict)
    good: list[dict[str, Any]] = field(default_factory=list)
    faults: dict[int, list[str | None]] = field(default_factory=dict)  # physical line → fields at fault; None: the row
    skipped: dict[str, int] = field(default_factory=dict)


def lines(*rows: str, header: str = "id,day,product,n,price", end: str = "\n") -> str:
    return end.join([header, *rows, ""])


def amounts(form: dict[str, Any], *pairs: tuple[str, str | None]) -> Mess:
    """A column of prices as the sheet writes them, with what each means; None: no number."""
    rows = [f'S{n};{form.get("day", "2026-03-02")};P1;-1;"{text}"' for n, (text, _) in enumerate(pairs)]
    said = {"format": {"delimiter": ";"} | form, "line_type": [{"when": {"sale_id": "^S"}, "is": "adjustment"}]}
    return Mess(
        lines(*rows, header="id;day;product;n;price"),
        said,
        [{"unit_price": price} for _, price in pairs if price is not None],
        {number: ["unit_price"] for number, (_, price) in enumerate(pairs, 2) if price is None},
    )


def days(formats: list[str], *pairs: tuple[str, str | None], timezone: str = "UTC") -> Mess:
    """A column of dates as the sheet writes them, with the moment that each means; None: no date."""
    rows = [f'S{n},"{text}",P1,1,1' for n, (text, _) in enumerate(pairs)]
    return Mess(
        lines(*rows),
        {"format": {"dates": formats, "timezone": timezone}},
        [{"sold_at": moment} for _, moment in pairs if moment is not None],
        {number: ["sold_at"] for number, (_, moment) in enumerate(pairs, 2) if moment is None},
    )


ALLOWED = "the feed allows 5.0% (rejects.max_ratio)"
SALE: dict[str, Any] = {"sale_id": "S1", "product_id": "0042", "quantity": "2", "unit_price": "9.99"}
MESS = {
    "a byte order mark": Mess(b"\xef\xbb\xbf" + lines(*GOOD).encode(), good=[SALE, {}]),
    "CR LF line ends": Mess(lines(*GOOD, end="\r\n"), good=[SALE, {}]),
    "no final line end": Mess(lines(*GOOD).rstrip("\n"), good=[SALE, {"unit_price": "5.00"}]),
    "an empty line before the header": Mess("\n \n" + lines(*GOOD), good=[SALE, {"source_line": 5}]),
    "a header and nothing else": Mess(lines()),
    "a NUL byte in a row": Mess(lines(GOOD[0], "S\0,2026-03-02,P,1,1"), good=[SALE], faults={3: [None]}),
    "a cell with delimiter, quote and line end": Mess(
        lines('"S""1, or\n2",2026-03-02,P1,1,1', "S2,2026-02-30,P1,1,1"),
        good=[{"sale_id": 'S"1, or\n2', "source_line": 2}],
        faults={4: ["sold_at"]},
    ),
    "too few and too many cells": Mess(
        lines(GOOD[0], "S2,2026-03-02,P1,1", "S3,2026-03-02,P1,1,1,1"), good=[SALE], faults={3: [None], 4: [None]}
    ),
    "semicolons": Mess(lines(*GOOD).replace(",", ";"), {"format": {"delimiter": ";"}}, [SALE, {}]),
    "tabs": Mess(lines(*GOOD).replace(",", "\t"), {"format": {"delimiter": "\t"}}, [SALE, {}]),
    "bars": Mess(lines(*GOOD).replace(",", "|"), {"format": {"delimiter": "|"}}, [SALE, {}]),
    "blank rows": Mess(
        lines(GOOD[0], "", ",,,,", " , ,,, ", GOOD[1]), good=[SALE, {"source_line": 6}], skipped={"blank": 3}
    ),
    "the header repeated in the middle": Mess(
        lines(GOOD[0], " id , day,product,n,price", GOOD[1]), good=[SALE, {}], skipped={"header": 1}
    ),
    "a header with inner spaces repeated": Mess(
        lines(GOOD[0], "sale  id,day,product,n,price", header="sale   id,day,product,n,price"),
        {"columns": COLUMNS | {"sale_id": "sale id"}},
        [SALE],
        skipped={"header": 1},
    ),
    "a totals row": Mess(lines(*GOOD, "Total,,,3,24.98"), good=[SALE, {}], skipped={"total": 1}),
    "a totals row with fewer cells": Mess(lines(*GOOD, "Grand total:,24.98"), good=[SALE, {}], skipped={"total": 1}),
    "a product that is called Total": Mess(lines("S1,2026-03-02,Total,1,1"), good=[{"product_id": "Total"}]),
    "rows that the feed says are no data": Mess(
        lines(GOOD[0], "S2,2026-03-02,POSTAGE,1,4.50"),
        {"skip": [{"product_id": "^POSTAGE$"}]},
        [SALE],
        skipped={"rule": 1},
    ),
    "thousands with a comma": amounts({"thousands": ","}, ("1,234.56", "1234.56"), ("1,23.4", None), ("12,34", None)),
    "a decimal comma": amounts(
        {"decimal": ",", "thousands": "."}, ("1.234,56", "1234.56"), ("1.5", None), ("1,5", "1.5")
    ),
    "lakhs": amounts({"thousands": ","}, ("5,29,550.00", "529550.00"), ("1,00,00,000", "10000000")),
    "currency signs": amounts(
        {"thousands": ","},
        ("$1.50", "1.50"),
        ("€ 2", "2"),
        ("R$3", "3"),
        (" $ 1,618.50 ", "1618.50"),
        ("$-", "0"),
        ("$-   ", "0"),
    ),
    "negatives in parentheses": amounts(
        {"thousands": ","}, ("(1,234.50)", "-1234.50"), ("$(3.00)", "-3.00"), ("(1", None)
    ),
    "signs of other currencies than the feed's": Mess(
        lines(
            "S1,2026-03-02,P1,1,€ 10", "S2,2026-03-02,P1,1,$100", "S3,2026-03-02,P1,1,¥9000", "S4,2026-03-02,P1,1,11"
        ),
        {"columns": COLUMNS | {"currency": {"value": "EUR"}}},
        [{"unit_price": "10"}, {"sale_id": "S4"}],
        {3: ["unit_price"], 4: ["unit_price"]},
    ),
    "a currency of its own in each row": Mess(
        lines(
            "S1,2026-03-02,P1,1,€1,EUR",
            "S2,2026-03-02,P1,1,$1,EUR",
            "S3,2026-03-02,P1,1,$1,CAD",
            "S4,2026-03-02,P1,1,¥1,CNY",
            "S5,2026-03-02,P1,1,R$1,USD",
            "S6,2026-03-02,P1,1,£1,",
            header="id,day,product,n,price,currency",
        ),
        {"columns": COLUMNS | {"currency": "currency"}},
        [{"currency": "EUR"}, {"currency": "CAD"}, {"currency": "CNY"}, {"currency": "XXX"}],
        {3: ["unit_price"], 6: ["unit_price"]},
    ),
    "amounts as spreadsheets write them": amounts(
        {},
        (".5", "0.5"),
        ("-.25", "-0.25"),
        ("\u22125.00", "-5.00"),
        ("'7", "7"),
        (" \u200b8", "8"),
        (".", None),
        ("5-", None),
    ),
    "a minus behind the number": amounts(
        {"trailing_minus": True}, ("5.00-", "-5.00"), ("5 -", "-5"), ("-5-", None), ("(5-)", None), ("5", "5")
    ),
    "percent signs in some cells": Mess(
        lines(
            *(f"S{n},2026-03-02,P1,1,1,{text}" for n, text in enumerate(["10%", "0.1", "10", "0", ""])),
            header="id,day,product,n,price,discount",
        ),
        {"columns": COLUMNS | {"discount_rate": {"header": "discount", "percent": True, "strip_suffix": "%"}}},
        [{"discount_rate": "0.10"}, {"discount_rate": "0.00"}, {"discount_rate": None}],
        {3: ["discount_rate"], 4: ["discount_rate"]},
    ),
    "totals in place of prices": Mess(
        lines(
            "S1,2026-03-02,P1,3,10.00", "S2,2026-03-02,P1,1,-2.50", "C3,2026-03-02,P1,1,-2.50", "S4,2026-03-02,P1,1,"
        ),
        {
            "columns": {name: header for name, header in COLUMNS.items() if name != "unit_price"}
            | {"line_total": "price"},
            "line_type": [{"when": {"sale_id": "^C"}, "is": "return"}],
        },
        [{"line_total": "10.00", "quantity": "3"}, {"line_type": "return", "line_total": "-2.50"}],
        {3: ["line_total"], 5: ["line_total"]},
    ),
    "ratings of ten": Mess(
        lines(
            *(f"S{n},2026-03-02,P1,1,1,{text}" for n, text in enumerate(["9", "8.9/10", "", "11", "4/5", "0"])),
            header="id,day,product,n,price,stars",
        ),
        {"columns": COLUMNS | {"customer_rating": {"header": "stars", "scale": 10}}},
        [{"customer_rating": "5"}, {"customer_rating": "4"}, {"customer_rating": None}],
        {5: ["customer_rating"], 6: ["customer_rating"], 7: ["customer_rating"]},
    ),
    "names that look the same": Mess(
        lines(
            "S1,2026-03-02,0042,1,1,Nord",
            "S2,2026-03-02,0042\u200b,1,1,Nord\u200b",
            "S3,2026-03-02,\ufeff0042,1,1,\u00a0Nord",
            'S4,2026-03-02,"=""0042""",1,1,No\u00adrd',
            'S5,2026-03-02,="0042",1,1, "Nord"',
            "S6,2026-03-02,'0042,1,1,Nord",
            header="id,day,product,n,price,region",
        ),
        {"columns": COLUMNS | {"sales_region": "region"}},
        [{"product_id": "0042", "sales_region": "Nord"}] * 6,
    ),
    "letters put together of two": Mess(
        lines("S1,2026-03-02,Cafe\u0301,1,1", "S2,2026-03-02,Café,1,1"), good=[{"product_id": "Café"}] * 2
    ),
    "names that begin with an apostrophe": Mess(
        lines("S1,2026-03-02,P1,1,1,'s-Hertogenbosch", header="id,day,product,n,price,region"),
        {"columns": COLUMNS | {"sales_region": "region"}},
        [{"sales_region": "'s-Hertogenbosch"}],
    ),
    "identifiers that a spreadsheet has damaged": Mess(
        lines(
            "4.05E+12,2026-03-02,P1,1,1",
            'S2,2026-03-02,"4,05E+12",1,1',
            "S3,2026-03-02,1E+5,1,1",
            "1e5,2026-03-02,P1,1,1",
        ),
        good=[{"product_id": "1E+5"}, {"sale_id": "1e5"}],
        faults={2: ["sale_id"], 3: ["product_id"]},
    ),
    "words of a status in any spelling that the feed lists": Mess(
        lines(
            *(
                f"S{n},2026-03-02,P1,1,1,{word}"
                for n, word in enumerate(["Canceled", "CANCELLED ", "no  show", "Delivered"])
            ),
            header="id,day,product,n,price,status",
        ),
        {
            "columns": COLUMNS | {"delivery_status": "status"},
            "line_type": [{"when": {"delivery_status": ["cancelled", "canceled", "no show"]}, "is": "cancellation"}],
        },
        [{"line_type": "cancellation"}] * 3 + [{"line_type": "sale"}],
    ),
    "words of the line type in any spelling": Mess(
        lines(
            *(
                f"S{n},2026-03-02,P1,1,1,{word}"
                for n, word in enumerate(["Sale", " RETURN", "Canceled", "refund", "?"])
            ),
            header="id,day,product,n,price,type",
        ),
        {"columns": COLUMNS | {"line_type": "type"}},
        [{"line_type": word} for word in ("sale", "return", "cancellation", "return")],
        {6: ["line_type"]},
    ),
    "a brand that is called Total": Mess(
        lines(
            "Total,A1,2026-03-02,Diesel,4,1.70",
            "Total,A2,2026-03-0Z,Diesel,4,1.70",
            "Total,A3,2026-03-02,Diesel,4,1.7O",
            header="station,id,day,product,n,price",
        ),
        {"columns": COLUMNS | {"store_id": "station"}},
        [{"store_id": "Total"}],
        {3: ["sold_at"], 4: ["unit_price"]},
    ),
    "a brand that is called Total, in rows with a decimal comma": Mess(
        lines(
            "Total,1,2026-03-02,77,4,1.70",
            "Total,2,2026-03-02,77,4,1,70",
            "Total,3,2026-03-02,77,4",
            "Total,,,,8,3.40,",
            "Total,8",
            header="station,id,day,product,n,price",
        ),
        {"columns": COLUMNS | {"store_id": "station"}},
        [{"store_id": "Total"}],
        {3: [None], 4: [None]},
        {"total": 2},
    ),
    "footers that the feed knows": Mess(
        lines(GOOD[0], '"Grand Total: 10",,,10,1', "***END OF FILE***", "Page 1 of 1,,,,", "Page two,,A,,"),
        {"footers": [r"\*\*\*end", r"page \w+"]},
        [SALE],
        {6: ["sold_at", "quantity", "unit_price"]},
        {"total": 1, "footer": 2},
    ),
    "footers that nobody knows": Mess(lines(GOOD[0], "***END OF FILE***"), good=[SALE], faults={3: [None]}),
    "subtotals among continuation lines": Mess(
        lines("S1,2026-03-02,A,1,1", ",,B,2,1", ",,Total,3,3", ",,C,1,1"),
        {"fill_down": ["sale_id", "sold_at"]},
        [{"sale_id": "S1", "product_id": product} for product in "ABC"],
        skipped={"total": 1},
    ),
    "subtotals with a date, an order or a count among continuation lines": Mess(
        lines(
            "S1,2026-03-02,A,1,1",
            ",2026-03-02,Total,3,3",
            ",,Total S1,3,3",
            ",,Subtotal S1:,3,3",
            ",,TOTAL (3),3,3",
            ",2026-03-02,Total Care Kit,1,1",
            ",,Total S2,1,1",
            "7,2026-03-02,Total,1,1",
        ),
        {"fill_down": ["sale_id", "sold_at"]},
        [
            *({"sale_id": "S1", "product_id": product} for product in ("A", "Total Care Kit", "Total S2")),
            {"sale_id": "7", "product_id": "Total"},
        ],
        skipped={"total": 4},
    ),
    "a totals row with a date": Mess(
        lines(*GOOD, ",2026-03-02,Total,3,24.98", "7,2026-02-30,Total,3,24.98", ",2026-03-02,T,3,24.98"),
        good=[SALE, {}],
        faults={5: ["sold_at"], 6: ["sale_id"]},
        skipped={"total": 1},
    ),
    "continuation lines behind rows that are no order": Mess(
        lines(
            "S1,2026-03-02,A,1,1",
            "id,day,product,n,price",
            ",2026-03-02,B,1,1",
            "Total,,,2,2",
            ",2026-03-02,C,1,1",
            "Page 1,,,,",
            ",2026-03-02,D,1,1",
        ),
        {"fill_down": ["sale_id"], "footers": ["^page"]},
        [{"sale_id": "S1", "product_id": product} for product in "ABCD"],
        skipped={"header": 1, "total": 1, "footer": 1},
    ),
    "subtotals in the languages of the vocabulary": Mess(
        lines(
            "S1,2026-03-02,A,1,1",
            *(
                f",,{word},3,3"
                for word in [
                    "Sub-total:",
                    "Zwischensumme",
                    "Teilsumme",
                    "Endsumme",
                    "Gesamtbetrag",
                    "Sous-total",
                    "Total général",
                    "TOTAL GERAL",
                    "Total general",
                    "Soma",
                    "Suma =",
                ]
            ),
        ),
        {"fill_down": ["sale_id", "sold_at"]},
        [{"product_id": "A"}],
        skipped={"total": 11},
    ),
    "continuation lines that look like footers": Mess(
        lines("S1,2026-03-02,A,1,1", ",,Weekender bag,1,1", ",,,,", ",,The end,,"),
        {"fill_down": ["sale_id", "sold_at"], "footers": ["end"]},
        [{"sale_id": "S1", "product_id": product} for product in ("A", "Weekender bag")],
        skipped={"blank": 1, "footer": 1},
    ),
    "continuation lines behind a malformed row": Mess(
        lines(
            "S1,2026-03-02,A,1,1",
            "S2,2026-03-02,B,1,1,1",
            ",,C,1,1",
            ",,D,1,1",
            "S1,,E,1,1",
            "S3,2026-03-02,F,1,1",
            ",,G,1,1",
        ),
        {"fill_down": ["sale_id", "sold_at"]},
        [
            {"sale_id": "S1"},
            {"sale_id": "S1", "product_id": "E"},
            {"sale_id": "S3"},
            {"sale_id": "S3", "product_id": "G"},
        ],
        {3: [None], 4: ["sale_id", "sold_at"], 5: ["sale_id", "sold_at"]},
    ),
    "titles above the header": Mess(
        "Sales of March\n\nprinted,by,Ann\n" + lines(*GOOD),
        {"format": {"header_row": "found"}},
        [SALE, {"source_line": 6}],
    ),
    "a header on a line that the feed names": Mess(
        "x\n" + lines(*GOOD), {"format": {"header_row": 2}}, [SALE, {"source_line": 4}]
    ),
    "times with the name of a zone": days(
        ["%Y-%m-%d %H:%M:%S %Z"],
        ("2026-03-02 22:30:00 UTC", "2026-03-02T23:30:00+01:00"),
        ("2026-03-02 23:30:00 GMT", "2026-03-03T00:30:00+01:00"),
        ("2026-03-02 23:30:00 EST", None),
        timezone="Europe/Berlin",
    ),
    "days without signs that lost a zero": days(
        ["%d%m%Y"], ("20112025", "2025-11-20T00:00:00+00:00"), ("1112025", None), ("2112025", None), ("5112025", None)
    ),
    "months where days are missing": days(["%Y%m%d"], ("202511", None), ("2025111", None)),
    "weekdays that are of another date": days(
        ["%A %d.%m.%Y"], ("Monday 02.03.2026", "2026-03-02T00:00:00+00:00"), ("Tuesday 02.03.2026", None)
    ),
    "morning and evening": days(
        ["%d/%m/%Y %I:%M %p"],
        ("02/03/2026 11:30 PM", "2026-03-02T23:30:00+00:00"),
        ("02/03/2026 11:30", None),
    ),
    "numbers in words, or none": amounts({}, ("ten", None), ("1e5", None), ("", None)),
    "ids that look like numbers": Mess(
        lines("00017,2026-03-02,0042,1,1,17850.0", header="id,day,product,n,price,customer"),
        {"columns": COLUMNS | {"customer_id": {"header": "customer", "strip_suffix": ".0"}}},
        [{"sale_id": "00017", "product_id": "0042", "customer_id": "17850"}],
    ),
    "day first": days(
        ["%d/%m/%Y"], ("02/03/2026", "2026-03-02T00:00:00+00:00"), ("31/02/2026", None), ("2026-03-02", None)
    ),
    "month first": days(["%m/%d/%Y"], ("03/02/2026", "2026-03-02T00:00:00+00:00"), ("13/02/2026", None)),
    "two-digit years": days(["%d.%m.%y"], ("02.03.26", "2026-03-02T00:00:00+00:00")),
    "two formats in one column": days(
        ["%Y-%m-%d", "%d/%m/%Y"],
        ("2026-03-02", "2026-03-02T00:00:00+00:00"),
        ("03/03/2026", "2026-03-03T00:00:00+00:00"),
    ),
    "dates in words": days(["%A, %B %d, %Y"], ("Friday, August 25, 2017", "2017-08-25T00:00:00+00:00")),
    "dates without signs": days(["%Y%m%d"], ("20180111", "2018-01-11T00:00:00+00:00"), ("20181301", None)),
    "offsets": days(
        ["%Y-%m-%d %H:%M%z"], ("2026-03-02 23:30-0400", "2026-03-03T03:30:00+00:00"), ("2026-03-02 23:30", None)
    ),
    "local time": days(
        ["%Y-%m-%d %H:%M:%S"], ("2026-07-01 09:00:00", "2026-07-01T09:00:00+01:00"), timezone="Europe/London"
    ),
    "date and time in two columns": Mess(
        lines("S1,02/03/2026,23:30,P1,1,1", header="id,day,time,product,n,price"),
        {"columns": COLUMNS | {"sold_at": {"join": ["day", "time"]}}, "format": {"dates": ["%d/%m/%Y %H:%M"]}},
        [{"sold_at": "2026-03-02T23:30:00+00:00", "sale_date": "2026-03-02"}],
    ),
    "an id that several padded columns make": Mess(
        lines(" 02/03/2026 , North,7 ,P1,1,1", header="day,branch,till,product,n,price"),
        {"columns": COLUMNS | {"sale_id": {"join": ["branch", "till", "day"]}}, "format": {"dates": ["%d/%m/%Y"]}},
        [{"sale_id": "North 7 02/03/2026"}],
    ),
    "an id of columns that each have their marks": Mess(
        lines(
            "North,7,2026-03-02,P1,1,1",
            'North,="7",2026-03-02,P1,1,1',
            "'North,'7,2026-03-02,P1,1,1",
            'North, "7",2026-03-02,P1,1,1',
            "North,4.05E+12,2026-03-02,P1,1,1",
            header="branch,till,day,product,n,price",
        ),
        {"columns": COLUMNS | {"sale_id": {"join": ["branch", "till"]}}},
        [{"sale_id": "North 7"}] * 4,
        {6: ["sale_id"]},
    ),
    "an id of columns of which one is empty": Mess(
        lines(
            "North,7,C,1,2026-03-02,P1,1,1",
            "North,,C,1,2026-03-02,P1,1,1",
            "North, \u200b,C,1,2026-03-02,P1,1,1",
            ",7,C,1,2026-03-02,P1,1,1",
            "-,7,C,1,2026-03-02,P1,1,1",
            "North,8,C,,2026-03-02,P1,1,1",
            header="branch,till,class,customer,day,product,n,price",
        ),
        {
            "columns": COLUMNS
            | {"sale_id": {"join": ["branch", "till"]}, "customer_id": {"join": ["class", "customer"]}},
            "format": {"nulls": ["", "-"]},
        },
        [{"sale_id": "North 7", "customer_id": "C 1"}, {"sale_id": "North 8", "customer_id": None}],
        {line: ["sale_id"] for line in range(3, 7)},
    ),
    "impossible dates": days(["%Y-%m-%d"], ("2024-02-30", None), ("2024-13-01", None), ("", None)),
    "empty tokens": Mess(
        lines(
            "S1,2026-03-02,P1,1,1,N/A,NA",
            "S2,2026-03-02,P1,1,1,nan,ERROR",
            header="id,day,product,n,price,customer,region",
        ),
        {
            "columns": COLUMNS | {"customer_id": "customer", "sales_region": "region"},
            "format": {"nulls": ["", "N/A", "nan", "ERROR", "UNKNOWN"]},
        },
        [{"customer_id": None, "sales_region": "NA"}, {"customer_id": None, "sales_region": None}],
    ),
    "columns in another order, and unknown ones": Mess(
        lines("9.99,red,S1,0042,2026-03-02,2", header=" price ,colour,id,product,day,n"),
        good=[SALE | {"extra": '{"colour": "red"}'}],
    ),
    "an unnamed first column": Mess(
        lines("0,S1,2026-03-02,0042,2,9.99", header=",id,day,product,n,price"), good=[SALE | {"extra": '{"": "0"}'}]
    ),
    "a header that stands twice": Mess(
        lines("S1,2026-03-02,0042,2,9.99,a,b", header="id,day,product,n,price,note,note"),
        good=[SALE | {"extra": '{"note": "a", "note (2)": "b"}'}],
    ),
    "a column that may be missing": Mess(
        lines(GOOD[0]),
        {"columns": COLUMNS | {"unit_cost": {"header": "cost", "optional": True}}},
        [SALE | {"unit_cost": None}],
    ),
    "continuation lines": Mess(
        lines(
            "S1,2026-03-02,A,1,1,Ann",
            "S1,,B,1,1,",
            "S1, ,C,1,1,Bob",
            "S2,,D,1,1,",
            header="id,day,product,n,price,customer",
        ),
        {"columns": COLUMNS | {"customer_name": "customer"}, "fill_down": ["sold_at", "customer_name"]},
        [
            {"product_id": "A", "customer_name": "Ann", "sale_date": "2026-03-02"},
            {"product_id": "B", "customer_name": "Ann", "sale_date": "2026-03-02"},
            {"product_id": "C", "customer_name": "Bob", "sale_date": "2026-03-02"},
        ],
        {5: ["sold_at"]},
    ),
    "continuation lines without an id": Mess(
        lines("S1,2026-03-02,A,1,1", ",,B,1,1", ",,,,", ",,C,1,1", "S2,,D,1,1"),
        {"fill_down": ["sale_id", "sold_at"]},
        [{"sale_id": "S1", "product_id": product} for product in "ABC"],
        {6: ["sold_at"]},
        {"blank": 1},
    ),
    "rows that are repeated": Mess(
        lines(*GOOD, GOOD[0], GOOD[0]), {"duplicates": "exact"}, [SALE, {}], skipped={"duplicate": 2}
    ),
    "rows that are repeated with marks that nobody sees": Mess(
        lines(
            GOOD[0], "S1\u200b,2026-03-02,'0042, 2,9.99", 'S1,2026-03-02,="0042",2,9.99', "S1,2026-03-02,0042,2,9.990"
        ),
        {"duplicates": "exact"},
        [SALE, {"unit_price": "9.990"}],
        skipped={"duplicate": 2},
    ),
    "keys that are repeated": Mess(
        lines(*GOOD, GOOD[0], "S2,2026-03-02,0043,1,6.00"),
        {"duplicates": "key", "unique_key": ["sale_id", "product_id"]},
        [SALE, {}],
        {5: [None]},
        {"duplicate": 1},
    ),
}


def feed_of(mess: Mess) -> Feed:
    return Feed.model_validate({"feed": "shop", "match": "*", "columns": COLUMNS} | mess.said)


def content_of(mess: Mess) -> bytes:
    return mess.content if isinstance(mess.content, bytes) else mess.content.encode()


@pytest.mark.parametrize("kind", MESS)
def test_a_sheet_with(kind: str) -> None:
    mess = MESS[kind]
    feed = feed_of(mess)
    text = decode(BytesIO(content_of(mess)), feed.format.encoding, Limits())
    reader = Reader(text, feed.format.delimiter, feed.is_header)
    verdicts = list(map(Validator(feed, reader.header).validate, reader.batches()))
    counts = Counts()
    for verdict in verdicts:
        counts.add(verdict)
    faults = {row.source_line: [error["field"] for error in row.errors] for each in verdicts for row in each.rejected}
    assert faults == mess.faults
    assert counts.skipped_as == mess.skipped
    assert counts.read == len(mess.good) + len(mess.faults) + sum(mess.skipped.values())
    accepted = [row for each in verdicts for row in each.accepted.to_pylist()]
    assert [{name: row.get(name) for name in good} for row, good in zip(accepted, mess.good, strict=True)] == mess.good


def test_words_that_decide_and_that_no_rule_knows_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    words = ["Delivered", "Anulado", "anulado", "", "cancelled", "Lost"]
    rows = [f"S{n},2026-03-02,P1,{-1 if word == 'Lost' else 1},1,{word}" for n, word in enumerate(words)]
    path.write_text(lines(*rows, header="id,day,product,n,price,status"))
    said = {
        "columns": COLUMNS | {"delivery_status": "status"},
        "line_type": [
            {"when": {"delivery_status": ["Cancelled"]}, "is": "cancellation"},
            {"when": {"quantity": "^-"}, "is": "return"},
            {"when": {"delivery_status": "^Deliv"}, "is": "sale"},
        ],
    }
    found = check_file(path, feed_of(Mess("", said)), Limits())
    assert found.counts.loaded == 6
    assert found.drift
    assert found.drift.undecided == {"delivery_status": {"Anulado": 1, "anulado": 1}}
    assert found.drift.undecided_words() == (
        "delivery_status says 'Anulado' (1 row), 'anulado' (1 row): no line_type rule knows that, so they count as sales"
    )


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        (
            ["Total,,,4,5"] * 3,
            f"3 of 3 rows are bad (100.0%), and {ALLOWED}; no row is good, so the 3 that say Total count as bad",
        ),
        (["Total,,,0,0"], None),
        ([*GOOD, "Total,,,3,24.98", "Total,,,3,24.98"], None),
        ([*GOOD, "S9,2026-03-0Z,a,1,1", *[",,,,"] * 50, *[""] * 50], f"1 of 3 rows are bad (33.3%), and {ALLOWED}"),
        ([*GOOD * 10, 'S9,2026-03-0Z,"a' + "\nb" * 30 + '",1,1'], f"31 of 51 rows are bad (60.8%), and {ALLOWED}"),
    ],
)
def test_what_a_bad_row_has_swallowed_counts_as_bad_and_what_is_no_data_counts_as_nothing(
    rows: list[str], error: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "sheet.csv"
    path.write_text(lines(*rows))
    assert check_file(path, feed_of(Mess("")), Limits()).error == error


@pytest.mark.parametrize(
    ("rows", "warning"),
    [
        (
            [GOOD[0], *["Total,2026-03-0Z,,4,5"] * 19],
            "19 rows that say Total were skipped, and only 1 was loaded",
        ),
        ([*GOOD, *["Total,,,4,5"] * 3], "3 rows that say Total were skipped, and only 2 were loaded"),
        ([*GOOD, *["Total,,,4,5"] * 2], None),
        (["Total,,,0,0"], None),  # which is said otherwise: no row was loaded
    ],
)
def test_more_rows_that_say_total_than_sales_are_a_warning(
    rows: list[str], warning: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "sheet.csv"
    path.write_text(lines(*rows))
    found = check_file(path, feed_of(Mess("")), Limits())
    assert (found.error, found.warning) == (None, warning)


@pytest.mark.parametrize(
    ("prices", "currencies", "signs"),
    [
        (["$5", "€5", "5"], None, ["$", "€"]),
        (["$5", "5"], None, ["$"]),
        (["$5", "€5"], ["", "XXX"], ["$", "€"]),
        (["$5", "€5"], ["USD", "EUR"], []),
        (["$5", "€x"], None, ["$"]),
    ],
)
def test_signs_of_several_currencies_without_a_currency_are_a_warning(
    prices: list[str], currencies: list[str] | None, signs: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "sheet.csv"
    cells = zip(prices, currencies or [""] * len(prices), strict=True)
    rows = [f"S{n},2026-03-02,P1,1,{price},{currency}" for n, (price, currency) in enumerate(cells)]
    path.write_text(lines(*rows, header="id,day,product,n,price,currency"))
    said = {"columns": COLUMNS | ({"currency": "currency"} if currencies else {}), "rejects": {"max_ratio": 1}}
    found = check_file(path, feed_of(Mess("", said)), Limits())
    assert found.drift
    assert found.drift.signs == signs
    assert found.warning == (
        "amounts have the signs $ and €, and no currency is stated: they are summed as one" if signs[1:] else None
    )


def test_a_fault_says_how_the_feed_writes_it() -> None:
    columns = COLUMNS | {
        "currency": {"value": "EUR"},
        "discount_rate": {"header": "off", "percent": True, "strip_suffix": "%"},
    }
    said = {"columns": columns, "format": {"dates": ["%d/%m/%Y", "%d.%m.%Y"], "decimal": ",", "thousands": "."}}
    row = 'S1,2026-03-02,P1,5-,"$1","0,1"'
    messages = {
        error["field"]: error["message"] for error in rejected_of(row, "id,day,product,n,price,off", **said).errors
    }
    assert messages == {
        "sold_at": "Input should be a date in one of the feed's formats: %d/%m/%Y or %d.%m.%Y",
        "quantity": "Input should be a number: a minus behind a number is read where the feed says format.trailing_minus: true",
        "unit_price": "Input should be a number: the sign $ is not one of EUR, the currency of the row",
        "discount_rate": "Input should be a number: the feed says that its cells carry a percent sign, and 0.1 may be 0.1% or 10%",
    }


@pytest.mark.parametrize(
    ("field", "currency", "message"),
    [
        ("unit_price", "EUR", "1234.56, with or without €"),
        ("unit_price", "CHF", "1234.56"),
        ("unit_price", "XXX", "1234.56, with or without R$, $, €, £ or ¥"),
        ("quantity", "EUR", "1234.56"),
    ],
)
def test_an_example_of_an_amount_names_the_signs_of_its_currency(field: str, currency: str, message: str) -> None:
    columns = COLUMNS | {"currency": {"value": currency}}
    row = f"S1,2026-03-02,P1,{'x,1' if field == 'quantity' else '1,x'}"
    (error,) = rejected_of(row, "id,day,product,n,price", columns=columns).errors
    assert (error["field"], error["message"]) == (
        field, f"Input should be a number: the feed writes numbers such as {message}",
    )  # fmt: skip


def test_a_rating_above_its_scale_says_the_scale() -> None:
    columns = COLUMNS | {"customer_rating": {"header": "stars", "scale": 10}}
    (error,) = rejected_of("S1,2026-03-02,P1,1,1,11", "id,day,product,n,price,stars", columns=columns).errors
    assert error["message"] == (
        "Input should be a number: above 0 and at most 10, the scale that the feed states, as in 10 or 10/10"
    )


@pytest.mark.parametrize("percent", [True, False])
def test_a_percent_sign_that_the_feed_does_not_know_says_what_to_add(percent: bool) -> None:
    columns = COLUMNS | {"discount_rate": {"header": "off", "percent": percent}}
    (error,) = rejected_of("S1,2026-03-02,P1,1,1,10%", "id,day,product,n,price,off", columns=columns).errors
    assert error["message"] == (
        'Input should be a number: a percent sign is read where the column says percent: true and strip_suffix: "%"'
    )


def test_a_header_that_fits_nothing_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    path.write_text("Sales of March\n" + lines(*GOOD))
    assert check_file(path, feed_of(Mess("")), Limits()).error == (
        "the header does not fit feed shop: none of its columns is in it: 'Sales of March'. If the header is "
        "further down, set format.header_row: found; if cells are separated otherwise, set format.delimiter"
    )


def test_a_missing_column_rejects_the_sheet_and_names_what_it_probably_is_now(tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    path.write_text(lines(*GOOD, header="id,day,product,n,prize"))
    found = check_file(path, feed_of(Mess("")), Limits())
    assert (
        found.error
        == "the header does not fit feed shop: column 'price' for unit_price is missing (renamed to 'prize'?)"
    )


def test_drift_is_reported_with_the_likely_new_name(tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    path.write_text(lines("S1,2026-03-02,P1,1,1,9,red", header="id,day,product,n,price,unit costs,colour"))
    said = {"columns": COLUMNS | {"unit_cost": {"header": "unit cost", "optional": True}}}
    found = check_file(path, feed_of(Mess("", said)), Limits())
    assert found.drift == Drift(["unit costs", "colour"], {"unit_cost": "unit cost"}, {"unit cost": "unit costs"})


def test_cells_that_must_not_be_seen_are_masked_in_rejected_rows() -> None:
    feed = feed_of(
        Mess("", {"columns": COLUMNS | {"customer_name": "name"}, "mask": ["customer_name", "E-Mail", "sale_id"]})
    )
    header = "id,day,product,n,price,name,e-mail"
    content = lines('S1,2026-02-30,P1,1,"1",Ann,ann@example.com', "S2,x,Bob", "" + "," * 6, header=header)
    reader = Reader(decode(BytesIO(content.encode()), "utf-8", Limits()), ",")
    (verdict,) = map(Validator(feed, reader.header).validate, reader.batches())
    assert [row.raw_text for row in verdict.rejected] == ["•••,2026-02-30,P1,1,1,•••,•••", "•••"]


def rejected_of(row: str, header: str, **said: Any) -> Rejected:
    """What is kept of the one row of a sheet."""
    feed = feed_of(Mess("", said))
    reader = Reader(decode(BytesIO(lines(row, header=header).encode()), "utf-8", Limits()), ",")
    (verdict,) = map(Validator(feed, reader.header).validate, reader.batches())
    (rejected,) = verdict.rejected
    return rejected


@pytest.mark.parametrize(
    ("columns", "mask"),
    [
        ({"customer_id": "name"}, "customer_id"),
        ({"customer_id": "name"}, "Name"),  # by the header, though it has a field
        ({"customer_id": "name", "customer_name": "name"}, "customer_name"),  # a fault of the other field
        ({"customer_id": {"join": ["name", "first"]}}, "name"),
    ],
)
def test_a_fault_does_not_quote_a_cell_that_is_masked(columns: dict[str, Any], mask: str) -> None:
    row = f"S1,2026-03-02,P1,1,1,{'Ann' * 50},Bo"
    rejected = rejected_of(row, "id,day,product,n,price,name,first", columns=COLUMNS | columns, mask=[mask])
    assert [error["field"] for error in rejected.errors] == ["customer_id"]
    assert "Ann" not in rejected.raw_text + str(rejected.errors)


def test_where_a_masked_column_is_renamed_nothing_of_a_bad_row_is_kept() -> None:
    rejected = rejected_of("S1,2026-02-30,P1,1,1,ann@example.com", "id,day,product,n,price,mail", mask=["e-mail"])
    assert rejected.raw_text == ",".join(["•••"] * 6)
    assert [error["value"] for error in rejected.errors] == ["•••"]
