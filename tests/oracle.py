"""The KPIs once more: from the sheets as they were uploaded, by DuckDB, without the loader and without dbt.

`Uploads` keeps which version of each key counts, `Oracle` reads the rows of those that do and answers for every mart
that oracle.sql names. Sums and counts are exact; ratios are binary floats.
"""

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

QUERIES = Path(__file__).with_name("oracle.sql")


@dataclass(frozen=True)
class SheetKind:
    """How one kind of sheet is read: SQL over its own columns (all text) for the columns of a line that it has.

    `is_good` is true of the rows that count; of the others, quantity times price is at risk as far as both are numbers,
    or the total of the line.
    """

    feed: str
    columns: Mapping[str, str]
    is_good: str = "true"


_TYPES = {
    "sale_id": "text",
    "sold_at": "timestamp",
    "line_type": "text",
    "product_id": "text",
    "product_name": "text",
    "product_category": "text",
    "quantity": "decimal(20, 3)",
    "unit_price": "decimal(14, 4)",
    "line_total": "decimal(14, 4)",
    "discount_rate": "decimal(4, 4)",
    "unit_cost": "decimal(14, 4)",
    "line_cost": "decimal(14, 4)",
    "currency": "text",
    "payment_status": "text",
    "customer_id": "text",
    "store_id": "text",
    "sales_region": "text",
    "sales_channel": "text",
    "sales_representative": "text",
    "rating": "integer",
    "delivery_date": "date",
}
_SEEDS = {
    "sales_targets": {
        "month": "date",
        "place_type": "text",
        "place": "text",
        "currency": "text",
        "target_net_sales": "decimal(14, 2)",
    },
    "currency_rates": {
        "rate_date": "date",
        "currency": "text",
        "reporting_currency": "text",
        "rate": "decimal(12, 6)",
    },
}
_UNKNOWN = {
    "product_name",
    "product_category",
    "payment_status",
    "customer_id",
    "store_id",
    "sales_region",
    "sales_channel",
    "sales_representative",
}

GENERATED = SheetKind(
    "sales_data",
    {
        "sale_id": '"Sale ID"',
        "sold_at": '"Sale Date"',
        "line_type": """case when "Delivery Status" = 'Cancelled' then 'cancellation'
                             when "Quantity Sold" like '-%' then 'return' else 'sale' end""",
        "product_id": '"Product ID"',
        "product_name": '"Product Name"',
        "product_category": '"Product Category"',
        "quantity": '"Quantity Sold"',
        "unit_price": '"Unit Price"',
        "discount_rate": 'try_cast("Discount (%)" as decimal(7, 2)) / 100',
        "unit_cost": '"Unit Cost"',
        "currency": "'USD'",
        "payment_status": '"Payment Status"',
        "customer_id": '"Customer ID"',
        "sales_region": '"Sales Region"',
        "sales_channel": '"Sales Channel"',
        "sales_representative": '"Sales Representative"',
        "rating": """regexp_extract("Customer Rating", '^(\\d) star', 1)""",
        "delivery_date": '"Delivery Date"',
    },
    is_good="""
        "Sale ID" <> '' and "Product ID" <> '' and try_cast("Sale Date" as date) is not null
        and try_cast("Quantity Sold" as decimal(20, 3)) <> 0 and "Unit Price" not like '-%'
        and try_cast("Discount (%)" as decimal(7, 2)) between 0 and 100
        and regexp_full_match("Customer Rating", '([1-5] stars?)?')
        and abs(
            try_cast("Quantity Sold" as decimal(12, 3)) * try_cast("Unit Price" as decimal(12, 4))
            * (1 - try_cast("Discount (%)" as decimal(5, 2)) / 100)
            - try_cast("Total Value (with Discount)" as decimal(14, 2))
        ) < 0.011
    """,
)
ONLINE_RETAIL = SheetKind(
    "online_retail",
    {
        "sale_id": '"InvoiceNo"',
        "sold_at": '"InvoiceDate"',
        "line_type": """case when "InvoiceNo" like 'C%' then 'return' when "InvoiceNo" like 'A%' then 'adjustment'
                             else 'sale' end""",
        "product_id": '"StockCode"',
        "product_name": '"Description"',
        "quantity": '"Quantity"',
        "unit_price": '"UnitPrice"',
        "currency": "'GBP'",
        "customer_id": """replace("CustomerID", '.0', '')""",
        "sales_region": '"Country"',
    },
    is_good=""" "InvoiceNo" like 'C%' or "InvoiceNo" like 'A%' or "Quantity" not like '-%' """,
)


# The generator's sheets, of which a feed takes the totals, and ratings on a scale of ten.
TOTALS = SheetKind(
    "totals",
    {name: sql for name, sql in GENERATED.columns.items() if name not in ("unit_price", "unit_cost")}
    | {
        "line_total": '"Total Value (with Discount)"',
        "line_cost": '"Total Cost"',
        "rating": """(try_cast("Customer Rating" as integer) + 1) // 2""",
    },
    is_good=""" "Quantity Sold" like '-%' or "Delivery Status" = 'Cancelled'
        or "Total Value (with Discount)" not like '-%' """,
)


@dataclass
class Uploads:
    """What was uploaded, and which version of each key counts: the latest that was neither refused nor taken back."""

    kinds: Mapping[str, SheetKind]  # by the start of the key
    _file_ids: dict[tuple[str, str], int] = field(default_factory=dict)
    _counting: dict[str, int] = field(default_factory=dict)
    _read: dict[int, tuple[str, bytes]] = field(default_factory=dict)

    def put(self, key: str, content: bytes, refused: bool = False) -> int:
        """The number that the ledger gives to this version: a content that comes back has its number back."""
        identity = (key, sha256(content).hexdigest())
        file_id = self._file_ids.setdefault(identity, len(self._file_ids) + 1)
        if not refused:
            self._counting[key] = file_id
            self._read[file_id] = key, content
        return file_id

    def take_back(self, key: str) -> int:
        """The number of the version that counted until now."""
        return self._counting.pop(key)

    def versions(self) -> Iterator[tuple[int, SheetKind, str, bytes, bool]]:
        """Number, kind, key and content of each version that was not refused, and whether it counts."""
        for file_id, (key, content) in self._read.items():
            (kind,) = (kind for start, kind in self.kinds.items() if key.startswith(start))
            yield file_id, kind, key, content, self._counting.get(key) == file_id


class Oracle:
    """Answers for every mart that oracle.sql names, for these uploads and these seeds (a folder of CSV files)."""

    def __init__(self, uploads: Uploads, seeds: Path) -> None:
        self._database = duckdb.connect()
        columns = ", ".join(f"{name} {kind}" for name, kind in _TYPES.items())
        self._database.execute(
            f"create table sales_lines (feed text, file_id integer, row_number integer, {columns}, sale_date date)"
        )
        self._database.execute(
            "create table rejected_rows (file_id integer, key text, feed text, counts boolean, revenue decimal(38, 2))"
        )
        for file_id, kind, key, content, counts in uploads.versions():
            self._read(file_id, kind, key, content, counts)
        for name, columns_of in _SEEDS.items():
            self._database.execute(
                f"create table {name} as from read_csv($file, header = true, columns = {columns_of})",
                {"file": str(seeds / f"{name}.csv")},
            )
        self._marts: dict[str, str] = {}
        for name, query in _queries():
            if name.startswith(("kpi_", "ops_")):
                self._marts[name] = query
            else:
                self._database.execute(query)

    def mart(self, name: str) -> list[dict[str, Any]]:
        """Every row that the mart should have, in no order."""
        return self._rows(self._marts[name])

    def row(self, query: str) -> dict[str, Any]:
        """The one row of a query on the oracle's own tables."""
        (row,) = self._rows(query)
        return row

    def _rows(self, query: str) -> list[dict[str, Any]]:
        found = self._database.execute(query)
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def _read(self, file_id: int, kind: SheetKind, key: str, content: bytes, counts: bool) -> None:
        header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
        whole = [(str(number), *cells) for number, cells in enumerate(rows, start=1) if len(cells) == len(header)]
        names = ["row", *header]
        columns = list(zip(*whole, strict=True)) or [()] * len(names)
        texts = [pa.array(map(str.strip, column), pa.string()) for column in columns]
        self._database.register("sheet", pa.table(dict(zip(names, texts, strict=True))))
        good, fields = kind.is_good, ", ".join(self._field(kind, name) for name in _TYPES)
        if counts:
            self._database.execute(
                f"""insert into sales_lines
                    select '{kind.feed}', {file_id}, row, {fields}, cast({kind.columns["sold_at"]} as date)
                    from sheet where {good}"""
            )
        parts = ("line_total",) if "line_total" in kind.columns else ("quantity", "unit_price")
        product = " * ".join(f"try_cast({kind.columns[name]} as {_TYPES[name]})" for name in parts)
        revenue = f"round(abs({product}), 2)"
        self._database.execute(
            f"""insert into rejected_rows
                select {file_id}, $key, '{kind.feed}', $counts, {revenue} from sheet where not coalesce({good}, false)
                union all
                select {file_id}, $key, '{kind.feed}', $counts, null from range({len(rows) - len(whole)})""",
            {"key": key, "counts": counts},
        )
        self._database.unregister("sheet")

    def _field(self, kind: SheetKind, name: str) -> str:
        text = f"cast(nullif(cast({kind.columns.get(name, 'null')} as text), '') as {_TYPES[name]})"
        return f"coalesce({text}, 'unknown')" if name in _UNKNOWN else text


def differences(
    expected: list[dict[str, Any]], found: list[dict[str, Any]], grain: Sequence[str], to_the_cent: Collection[str] = ()
) -> list[str]:
    """One line per row that is missing, superfluous or has another figure; none: they say the same.

    Columns that only the found rows have are not looked at. Whole and decimal numbers agree exactly, floats to nine
    digits, and those `to_the_cent`, of which the mart rounds what the oracle does not, to a cent.
    """
    wanted, there = (_by_grain(rows, grain) for rows in (expected, found))
    faults = [f"missing: {_row(wanted[key])}" for key in sorted(wanted.keys() - there.keys(), key=str)]
    faults += [f"superfluous: {_row(there[key])}" for key in sorted(there.keys() - wanted.keys(), key=str)]
    for key in sorted(wanted.keys() & there.keys(), key=str):
        faults += [
            f"{dict(zip(grain, key, strict=True))}: {name} should be {value}, is {there[key].get(name, 'no column')}"
            for name, value in wanted[key].items()
            if name not in there[key] or not _agree(value, there[key][name], 0.01 if name in to_the_cent else 0)
        ]
    return faults


def _by_grain(rows: list[dict[str, Any]], grain: Sequence[str]) -> dict[tuple[Any, ...], dict[str, Any]]:
    keyed = {tuple(row[name] for name in grain): row for row in rows}
    assert len(keyed) == len(rows), f"{len(rows)} rows, and {len(keyed)} of different {', '.join(grain)}"
    return keyed


def _agree(wanted: Any, there: Any, tolerance: float) -> bool:
    if isinstance(wanted, float) and isinstance(there, float | Decimal | int):
        return abs(wanted - float(there)) <= tolerance + 1e-9 * max(1, abs(wanted))
    return bool(wanted == there)


def _row(row: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in row.items())


def _queries() -> Iterator[tuple[str, str]]:
    _, *parts = re.split(r"^-- name: (\w+)\n", QUERIES.read_text(), flags=re.MULTILINE)
    yield from zip(parts[::2], parts[1::2], strict=True)
