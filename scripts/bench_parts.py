"""The parts that all measurements use: a stack, sheets, processes, tables."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import psycopg

from loader.settings import Settings
from scripts.stack import REPOSITORY, Stack

DAY = date(2026, 8, 28)  # late in a month and in a year, so that to date is most of either
CUSTOMERS = 400_000  # of a history: some eleven orders each in ten million lines
FIELD_OF = {
    "Sale Date": "sold_at",
    "Sale ID": "sale_id",
    "Product ID": "product_id",
    "Product Name": "product_name",
    "Product Category": "product_category",
    "Quantity Sold": "quantity",
    "Unit Price": "unit_price",
    "Discount (%)": "discount_rate",
    "Total Value (with Discount)": "stated_total",
    "Customer ID": "customer_id",
    "Payment Method": "payment_method",
    "Sales Channel": "sales_channel",
    "Sales Region": "sales_region",
    "Shipping Cost": "shipping_cost",
    "Delivery Status": "delivery_status",
}
FEED = {
    "feed": "bench",
    "match": "bench/*.csv",
    "format": {"encoding": "utf-8", "dates": ["%Y-%m-%d"]},
    "shares": ["customers", "products", "stores"],
    "columns": {field: header for header, field in FIELD_OF.items()}
    | {"discount_rate": {"header": "Discount (%)", "percent": True}, "currency": {"value": "USD"}},
}


@dataclass(frozen=True)
class Bench:
    """The parts that all measurements use."""

    folder: Path
    stack: Stack
    settings: Settings
    rows: int
    rounds: int

    @property
    def url(self) -> str:
        return self.stack.env()["ADMIN_DATABASE_URL"]


def sheet_of(rows: int, seed: int = 7, until: date = DAY, days: int = 90, customers: int = 50_000) -> bytes:
    """A sheet of 15 columns: orders of some two lines, two thousand products, as many days as are asked for."""
    rng = np.random.default_rng(seed)
    order = np.cumsum(rng.random(rows) < 0.45)
    product = rng.integers(0, 2000, rows)
    cents = np.round(rng.lognormal(3, 1, 2000) * 100).astype(int)[product]
    quantity = rng.integers(1, 10, rows)
    discount = rng.choice([0, 0, 0, 5, 10, 15], rows)
    total = (quantity * cents * (100 - discount) + 50) // 100
    customer = rng.integers(0, customers, order[-1] + 1)[order]
    cells = {
        "Sale Date": (np.datetime64(until) - days + 1 + np.arange(rows) * days // rows).astype(str),
        "Sale ID": np.char.add("S", (seed * 10**9 + order).astype(str)),
        "Product ID": np.char.add("P", product.astype(str)),
        "Product Name": np.char.add("Product ", product.astype(str)),
        "Product Category": np.array(["Clothing", "Electronics", "Toys", "Garden", "Books", "Food"])[product % 6],
        "Quantity Sold": quantity,
        "Unit Price": [f"{each // 100}.{each % 100:02}" for each in cents.tolist()],
        "Discount (%)": discount,
        "Total Value (with Discount)": [f"{each // 100}.{each % 100:02}" for each in total.tolist()],
        "Customer ID": np.char.add("C", customer.astype(str)),
        "Payment Method": rng.choice(["Card", "Cash", "Transfer"], rows),
        "Sales Channel": rng.choice(["Online", "Store", "Phone"], rows),
        "Sales Region": rng.choice(["North", "South", "East", "West"], rows),
        "Shipping Cost": rng.choice(["0.00", "4.90", "9.90"], rows),
        "Delivery Status": rng.choice(["Delivered", "Shipped", "Pending"], rows),
    }
    return pd.DataFrame(cells, columns=list(FIELD_OF)).to_csv(index=False).encode()


def write_sheet(file: Path, rows: int) -> None:
    file.write_bytes(sheet_of(rows))


def wait_for(database: psycopg.Connection, condition: str, *parameters: object) -> None:
    while database.execute(condition, parameters or None).fetchone() != (True,):
        time.sleep(0.02)


def empty(database: psycopg.Connection) -> None:
    database.execute(
        "truncate raw.sales_lines, raw.rejected_rows, raw.replayed_rows, raw.rebuild_queue, raw.files cascade"
    )
    database.execute("drop table if exists to_sql")
    if database.execute("select to_regclass('bare')").fetchone() != (None,):
        database.execute("truncate bare, alike")
    database.execute("checkpoint")


def table(title: str, head: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> str:
    rows = [head, ("---",) * len(head), *lines]
    return f"### {title}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)


def dbt(*arguments: str) -> None:
    command = [str(Path(sys.executable).parent / "dbt"), "--quiet", *arguments, "--target", "prod"]
    subprocess.run(command, cwd=REPOSITORY / "dbt_sales", check=True)


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-m", "loader", *command], cwd=REPOSITORY) as process:
        try:
            yield process
        finally:
            process.terminate()


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
