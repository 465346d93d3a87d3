"""`make demo`: the main job on real servers, from an empty folder to reconciled KPIs and a live dashboard."""

import http.client
import json
import os
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from loader.errors import LoaderError
from loader.ledger import State
from loader.object_store import ObjectStore
from loader.settings import Settings
from loader.sql import operate as sql
from loader.warehouse import Warehouse, migrate
from scripts.csv_generator import Summary, sheet, upload, write_manifest
from scripts.stack import REPOSITORY, STACK, StackError

DAYS = 92
SEED = 7
ROWS_PER_DAY = 400
BAD_RATIO = 0.01
PATIENCE_SECONDS = 240  # without any progress
ANSWER_SECONDS = 5
MANIFEST = REPOSITORY / ".stack" / "manifest.json"

console = Console(highlight=False, soft_wrap=True)


class DemoError(Exception):
    """The demo did not reach its end; the message says what failed and where to look."""


def main() -> None:
    """Run every step; all of them may be run again.

    Raises DemoError, StackError or LoaderError when a file did not load, model or reconcile.
    """
    step("servers", "PostgreSQL, S3 and a Kafka-protocol broker, from wheels")
    env = STACK.up()
    os.environ.update(env)
    settings = Settings.read()
    migrate(env["ADMIN_DATABASE_URL"])
    for process in ("loader", "watcher", "dashboard"):
        STACK.start(process)
    step("sheets", f"{DAYS} days of sales into s3://{settings.s3_bucket}/CSV/")
    manifest = drop_sheets(settings)
    step("load", "each arrival triggers the loader through Kafka; dbt rebuilds and tests the dates it touches")
    warehouse = Warehouse(settings.database_url.get_secret_value())
    with connect(env["DATABASE_URL"]) as raw:
        wait_until_modelled(warehouse, raw, manifest)
    step("check", "the marts against the sheets")
    with connect(env["DASHBOARD_DATABASE_URL"], "dashboard_viewer") as marts, connect(env["DATABASE_URL"]) as raw:
        show_kpis(marts)
        console.print(f"[bold green]reconciled:[/bold green] {reconcile(marts, raw, manifest)}")
    dashboard = f"http://127.0.0.1:{env['STACK_DASHBOARD_PORT']}"
    wait_for_page(f"{dashboard}/_stcore/health")
    console.print(f"dashboard   {dashboard}", style="bold")
    console.print(
        f"S3          {env['S3_ENDPOINT_URL']}   Kafka {env['KAFKA_BOOTSTRAP_SERVERS']}   .stack/env has the rest"
    )
    console.print(
        f"SQL         {env['PGHOST']}:{env['PGPORT']}, database sales, login analyst (password in .stack/env); make sql"
    )
    console.print("next        make live · make status · make docs · make test · make down")


def step(name: str, what: str) -> None:
    console.print(f"[bold cyan]{name:<10}[/bold cyan]  {what}")


def drop_sheets(settings: Settings) -> dict[str, Summary]:
    """Put those of the days' sheets into the bucket that are not there yet. Returns the whole manifest."""
    today = datetime.now(UTC).date()
    days = (today - timedelta(back) for back in range(DAYS - 1, -1, -1))
    sheets = [sheet(SEED, day, ROWS_PER_DAY, BAD_RATIO) for day in days]
    write_manifest(MANIFEST, sheets)
    put = upload(sheets, ObjectStore(settings), settings.s3_bucket)
    console.print(f"{'':<10}  {put} dropped, {len(sheets) - put} were there")
    manifest: dict[str, Summary] = json.loads(MANIFEST.read_text())
    return manifest


@dataclass(frozen=True, order=True)
class Reached:
    """How far the work has come. A later field starts again when an earlier one rises: each dbt run builds anew."""

    modelled: int = 0
    version: int = 0
    loaded: int = 0
    relations: int = 0


def wait_until_modelled(warehouse: Warehouse, raw: sa.Connection, manifest: Mapping[str, Summary]) -> None:
    """Show the ledger move until every sheet of the manifest is in the marts, however long that takes.

    Raises DemoError when a sheet is refused, or when nothing has moved for PATIENCE_SECONDS. A dbt run that fails and
    is repeated builds no more tables than it did before, so it does not count as progress.
    """
    columns = TextColumn("{task.description:<10} "), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    furthest, moved_at = Reached(), time.monotonic()
    with Progress(*columns, console=console) as progress:
        loading = progress.add_task("loaded", total=len(manifest))
        modelling = progress.add_task("modelled", total=len(manifest))
        while True:
            rows = [row for row in warehouse.ask(sql.files, limit=100_000) if row["key"] in manifest]
            if bad := [row for row in rows if row["status"] in (State.REJECTED, State.FAILED, State.IGNORED)]:
                raise DemoError(f"{bad[0]['key']} is {bad[0]['status']}: {bad[0]['error']}; `make logs` shows more")
            loaded = [row for row in rows if row["status"] == State.LOADED]
            modelled = [row for row in loaded if row["modelled_at"]]
            progress.update(loading, completed=len(loaded))
            progress.update(modelling, completed=len(modelled))
            if len(modelled) == len(manifest):
                return
            state = warehouse.ask(sql.status)
            reached = Reached(len(modelled), state["mart_version"], len(loaded), relations(raw))
            if reached > furthest:
                furthest, moved_at = reached, time.monotonic()
            if time.monotonic() > moved_at + PATIENCE_SECONDS:
                raise DemoError(
                    f"nothing has moved for {PATIENCE_SECONDS} s: {len(loaded)} of {len(manifest)} sheets are loaded,"
                    f" {len(modelled)} modelled; last dbt run: {state['last_dbt_run']}; `make status` and `make logs`"
                    " show more, and `make demo` goes on from here"
                )
            time.sleep(0.2)


def relations(connection: sa.Connection) -> int:
    """How many tables, views and indexes there are: dbt makes them one by one, in a run that takes long as well."""
    count = int(one(connection, "select count(*) as relations from pg_class")["relations"])
    connection.rollback()  # or the session would keep a transaction open
    return count


def show_kpis(connection: sa.Connection) -> None:
    """Print the five KPIs that this project began with, in the currency of the generated sheets."""
    total = one(
        connection,
        """select sum(net_sales) as net, sum(orders) as orders, sum(net_sales) / sum(orders) as average,
                  min(sale_date) as first, max(sale_date) as last
           from kpi.kpi_daily_sales where currency = 'USD'""",
    )
    products = many(
        connection,
        """select product_name as name, sum(net_sales) as net from kpi.kpi_daily_product_sales
           where currency = 'USD' group by product_name order by net desc, name limit 5""",
    )
    categories = many(
        connection,
        """select product_category as name, sum(net_sales) as net from kpi.kpi_daily_category_sales
           where currency = 'USD' group by product_category order by net desc, name""",
    )
    months = many(
        connection,
        """select to_char(date_trunc('month', sale_date), 'YYYY-MM') as name, sum(net_sales) as net
           from kpi.kpi_daily_sales where currency = 'USD' group by 1 order by 1""",
    )
    kpis = {
        "Total sales": f"{total['net']:,.2f} USD in {total['orders']:,} orders, {total['first']} to {total['last']}",
        "Average transaction value": f"{total['average']:,.2f} USD",
        "Top-selling products": ", ".join(f"{row['name']} {row['net']:,.0f}" for row in products),
        "Sales by category": ", ".join(f"{row['name']} {row['net'] / total['net']:.0%}" for row in categories),
        "Sales trend": " → ".join(f"{row['name']} {row['net']:,.0f}" for row in months),
    }
    for name, value in kpis.items():
        console.print(f"  {name:<26}{value}")


def reconcile(marts: sa.Connection, raw: sa.Connection, manifest: Mapping[str, Summary], rows_in_lake: int = 0) -> str:
    """Compare the marts with the generator's manifest, per date and to the cent. Returns one line with the result.

    `rows_in_lake`: good rows of these sheets that are not in PostgreSQL.

    A date that sheets of your own touch as well cannot be compared, and is left out.
    Raises DemoError that names the first date, or the count of rows, that differs.
    """
    keys = {"keys": list(manifest)}
    count = "select sum(rows_loaded) as rows from raw.files where status = 'loaded' and key = any(:keys)"
    loaded = one(raw, count, keys)
    foreign = many(
        raw,
        """select distinct sale_date from raw.sales_lines inner join raw.files using (file_id)
           where not key = any(:keys)""",
        keys,
    )
    left_out = {str(row["sale_date"]) for row in foreign}
    expected: dict[str, Decimal] = {}
    for summary in manifest.values():
        day = summary["sale_date"]
        expected[day] = expected.get(day, Decimal(0)) + Decimal(summary["net_sales"])
    by_date = many(marts, "select sale_date, sum(net_sales) as net from kpi.kpi_daily_sales group by 1")
    found = {str(row["sale_date"]): row["net"] for row in by_date}
    for day in sorted((expected.keys() | found.keys()) - left_out):
        if expected.get(day) != found.get(day):
            raise DemoError(f"{day}: the sheets say {expected.get(day)}, the mart says {found.get(day)}")
    rows = sum(summary["rows"] for summary in manifest.values())
    if loaded["rows"] + rows_in_lake != rows:
        raise DemoError(
            f"the sheets have {rows} good rows, the ledgers say {loaded['rows'] + rows_in_lake} were loaded"
        )
    net, sheets = (sum(amount for day, amount in each.items() if day not in left_out) for each in (found, expected))
    also = f" ({len(left_out)} dates of other sheets left out)" if left_out else ""
    return f"{len(manifest)} files, {rows:,} rows, net sales {net:,.2f} = {sheets:,.2f}{also}"


def wait_for_page(url: str) -> None:
    """Wait until the page answers. Raises DemoError when it has not after PATIENCE_SECONDS."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=ANSWER_SECONDS).close()  # noqa: S310  # the stack's own address
        # While a server starts it may refuse, hang, or close the connection: only some of these are a URLError.
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() > deadline:
                raise DemoError(
                    f"the dashboard did not answer at {url} within {PATIENCE_SECONDS} s ({error!r}):"
                    " see .stack/logs/dashboard.log; `make status` says whether it runs, and `make demo` tries again"
                ) from error
            time.sleep(0.2)
        else:
            return


def connect(database_url: str, role: str | None = None) -> sa.Connection:
    """A connection, in a role that the login may take where one is named."""
    url = sa.make_url(database_url).set(drivername="postgresql+psycopg")
    options = {"options": f"-c role={role}"} if role else {}
    return sa.create_engine(url, poolclass=sa.NullPool, connect_args=options).connect()


def many(connection: sa.Connection, query: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(sa.text(query), parameters).mappings()]


def one(connection: sa.Connection, query: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    (row,) = many(connection, query, parameters)
    return row


if __name__ == "__main__":
    try:
        main()
    except (DemoError, StackError, LoaderError) as error:
        raise SystemExit(f"demo: {error}") from error
