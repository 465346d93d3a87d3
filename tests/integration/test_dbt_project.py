"""dbt_sales as a person with only dbt and a database uses it, and its own generic tests on good and on bad rows."""

import json
import shutil
import subprocess
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from scripts.csv_generator import sheet
from tests.conftest import PROJECT, WITHOUT_TESTS, World

SHEETS = [sheet(7, date(2026, 3, day), rows=60, bad_ratio=0.03) for day in range(1, 4)]


@dataclass(frozen=True)
class Case:
    """A generic test with arguments, rows that pass it, and rows of which so many fail it."""

    test: str
    arguments: dict[str, Any]
    columns: str
    good: str
    bad: str
    failures: int


RANGES = {"lower_bound": "value", "upper_bound": "upto", "partition_by": "part"}
CASES = {
    "range": Case(
        "accepted_range", {"column_name": "value", "min_value": 0, "max_value": 1}, "value",
        "(0), (1), (null)", "(-1), (0), (2)", 2,
    ),
    "open_range": Case(
        "accepted_range", {"column_name": "value", "min_value": 0, "inclusive": False}, "value",
        "(1), (99)", "(0), (1)", 1,
    ),
    "rowcount": Case("equal_rowcount", {"compare_model": "ref('two_rows')"}, "value", "(1), (2)", "(1), (2), (3)", 1),
    "expression": Case("expression_is_true", {"expression": "value > 0"}, "value", "(1)", "(1), (0), (null)", 2),
    "overlaps": Case(
        "mutually_exclusive_ranges", RANGES, "value, upto, part",
        "(1, 2, 'a'), (2, null, 'a'), (1, 5, 'b'), (7, null, 'b')",
        "(1, 3, 'a'), (2, null, 'a'), (1, null, 'b'), (4, 5, 'b'), (2, 2, 'c')", 3,
    ),
    "gaps": Case(
        "mutually_exclusive_ranges", RANGES | {"gaps": False}, "value, upto, part",
        "(1, 2, 'a'), (2, null, 'a')", "(1, 2, 'a'), (3, null, 'a')", 1,
    ),
    "text": Case("not_empty_string", {"column_name": "value"}, "value", "('a'), (null)", "('a'), (''), ('  ')", 2),
    "recent": Case(
        "recency", {"column_name": "value", "interval": "36 hours"}, "value",
        "(now() - interval '35 hours'), (now() - interval '9 days')",
        "(now() - interval '37 hours'), (now() - interval '9 days')", 1,
    ),
    "never": Case(
        "recency", {"column_name": "value", "interval": "36 hours"}, "value",
        "(null::timestamptz)", "('2000-01-01'::timestamptz)", 1,
    ),
    "reference": Case(
        "relationships_where",
        {"column_name": "value", "to": "ref('two_rows')", "field": "value",
         "from_condition": "value < 9", "to_condition": "value = 2"},
        "value", "(2), (10), (null)", "(1), (2), (10)", 1,
    ),
    "combination": Case(
        "unique_combination_of_columns", {"combination": ["value", "part"]}, "value, part",
        "(1, 1), (1, 2)", "(1, 1), (1, 1), (1, 2)", 1,
    ),
    "currency": Case(
        "single_currency", {"column_name": "value", "expected": "USD"}, "value",
        "('USD'), ('USD')", "('USD'), ('EUR'), ('EUR'), (null)", 2,
    ),
}  # fmt: skip


def results(world: World, project: Path) -> dict[str, dict[str, Any]]:
    """What became of the nodes of the last invocation of `dbt_in`, by name."""
    written = json.loads((world.target_folder(target="dev", project=project) / "run_results.json").read_text())
    return {each["unique_id"].split(".")[2]: each for each in written["results"]}


def load(world: World) -> None:
    for each in SHEETS:
        world.drop(each.key, each.content)
        assert world.loader("load", each.key).returncode == 0


def dbt_in(project: Path, world: World, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {"DBT_PROJECT_DIR": str(project), "DBT_PROFILES_DIR": str(PROJECT), "DBT_WRITE_JSON": "true"}
    return replace(world, env=world.env | env).dbt(*arguments, target="dev", project=project)


def net_sales(world: World, schema: str) -> Decimal:
    return Decimal(world.value(f"select coalesce(sum(net_sales), 0) from {schema}.kpi_daily_sales"))


def test_each_generic_test_passes_good_rows_and_fails_bad_ones(world: World, tmp_path: Path) -> None:
    relations = {"two_rows": ("value", "(1), (2)")}
    properties = []
    for name, case in CASES.items():
        for kind, rows in (("good", case.good), ("bad", case.bad)):
            relations[f"{kind}_{name}"] = (case.columns, rows)
            test = {case.test: {"name": f"{name}_of_{kind}", "arguments": case.arguments}}
            properties.append({"name": f"{kind}_{name}", "data_tests": [test]})
    (tmp_path / "dbt_project.yml").write_text(yaml.safe_dump({"name": "rows", "profile": "dbt_sales"}))
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/generic").symlink_to(PROJECT / "tests/generic")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/models.yml").write_text(yaml.safe_dump({"models": properties}))
    for name, (columns, rows) in relations.items():
        (tmp_path / f"models/{name}.sql").write_text(f"select * from (values {rows}) as made ({columns})")
    dbt_in(tmp_path, world, "build")
    told = {name: each["failures"] for name, each in results(world, tmp_path).items() if "_of_" in name}
    expected = {f"{name}_of_good": 0 for name in CASES}
    assert told == expected | {f"{name}_of_bad": case.failures for name, case in CASES.items()}
    assert {case.test for case in CASES.values()} == {file.stem for file in (PROJECT / "tests/generic").glob("*.sql")}


def test_every_column_is_explained_in_the_database(world: World) -> None:
    """A column that dbt does not describe has no comment."""
    assert not world.rows(
        """select attrelid::regclass || '.' || attname as name
           from pg_attribute
           join pg_class on pg_class.oid = attrelid
           where relnamespace::regnamespace::text in ('staging', 'core', 'kpi', 'ops', 'snapshots')
               and relkind in ('r', 'v') and attnum > 0 and not attisdropped
               and attrelid not in ('ops.mart_version'::regclass, 'ops.history_marts'::regclass)
               and col_description(attrelid, attnum) is null
           order by 1"""
    )


def test_the_full_tests_are_recorded_and_claim_nothing(world: World) -> None:
    """One figure is wrong, and one test finds it; that all pass on good rows is held by `dbt test` in test_marts.py."""
    load(world)
    world.transform()
    waiting = sheet(7, date(2026, 3, 9), rows=20)
    world.drop(waiting.key, waiting.content)
    assert world.loader("load", waiting.key).returncode == 0
    world.run("update kpi.kpi_daily_sales set lines = lines + 1 where sale_date = '2026-03-02'")
    done = world.loader("transform", "--full-tests")
    assert done.returncode == 1
    assert "kpi_reconciles_with_core" in done.stderr
    (run,) = world.rows("select * from ops.ops_dbt_runs order by run_id desc limit 1")
    assert (run["status"], run["dates"], run["files"], run["mart_version"]) == ("failed", 0, 0, None)
    assert world.value("select count(*) from raw.rebuild_queue where run_id is null") == 1
    assert world.value("select count(*) from snapshots.product_prices") > 0
    tests = {row["test_name"]: row["status"] for row in world.rows("select * from ops.ops_test_results")}
    assert {tests[name] for name in ("core_reconciles_with_raw", "money_follows_the_type_of_line")} == {"pass"}
    assert {name for name, status in tests.items() if status != "pass"} == {"kpi_reconciles_with_core"}
    nodes = world.value("select nodes from raw.dbt_runs order by run_id desc limit 1")
    assert {each["status"] for each in nodes if each["node"].startswith("unit_test.")} == {"pass"}
    # What is published is as it was: the banner of the dashboard and the alerts speak of that.
    assert world.value("select last_run_status from ops.ops_freshness") == "succeeded"


def test_full_tests_that_pass_are_recorded_as_such(world: World, tmp_path: Path) -> None:
    """Of a project with little to test."""
    (tmp_path / "dbt_project.yml").write_text(
        yaml.safe_dump({"name": "little", "profile": "dbt_sales", "snapshots": {"+schema": "snapshots"}})
    )
    (tmp_path / "macros").mkdir()
    (tmp_path / "macros/generate_schema_name.sql").symlink_to(PROJECT / "macros/generate_schema_name.sql")
    shutil.copy(PROJECT / "selectors.yml", tmp_path)
    for folder, name, content in (
        ("models", "one", "select 1 as number"),
        ("tests", "one_is_one", "select 1 as found where 1 <> 1"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.sql").write_text(content)
    env = {"DBT_PROJECT_DIR": str(tmp_path), "DBT_PROFILES_DIR": str(PROJECT)}
    env |= {"DBT_TARGET_PATH": str(tmp_path / "target")}
    done = replace(world, env=world.env | env).loader("transform", "--full-tests")
    assert done.returncode == 0, done.stderr
    (run,) = world.rows("select * from ops.ops_dbt_runs order by run_id desc limit 1")
    assert (run["status"], run["dates"], run["files"], run["mart_version"]) == ("succeeded", 0, 0, None)
    assert world.rows("select test_name, status from ops.ops_test_results") == [
        {"test_name": "one_is_one", "status": "pass"}
    ]


def test_snapshots_keep_what_a_product_and_a_customer_were_called_and_cost(world: World) -> None:
    load(world)
    world.transform()
    assert world.dbt("snapshot").returncode == 0
    product = world.value("select min(product_id) from core.dim_products")
    world.run(f"update core.dim_products set unit_price = unit_price + 1 where product_id = '{product}'")
    done = world.dbt("build", "--select", "resource_type:snapshot")
    assert done.returncode == 0, done.stdout
    (before, now) = world.rows(
        f"select * from snapshots.product_prices where product_id = '{product}' order by dbt_valid_from"
    )
    assert now["unit_price"] == before["unit_price"] + 1
    assert (before["dbt_valid_to"], now["dbt_valid_to"]) == (now["dbt_valid_from"], None)
    others = "select count(*) = count(distinct product_id) from snapshots.product_prices where product_id <> %s"
    assert world.value(others, product)
    assert world.value("select count(*) from snapshots.customer_attributes") == world.value(
        "select count(*) from core.dim_customers"
    )


def test_a_change_can_be_tried_empty_and_on_a_sample_beside_what_is_published(world: World) -> None:
    load(world)
    world.transform()
    published = net_sales(world, "kpi")
    done = world.dbt("--warn-error", "build", *WITHOUT_TESTS, "--empty", target="dev")
    assert done.returncode == 0, done.stdout
    assert net_sales(world, "dev_kpi") == 0
    sample = "{'start': '2026-03-02', 'end': '2026-03-03'}"
    # The ledger is of whole files, which a sample is not.
    without = ["--exclude", "rows_reconcile_with_ledger"]
    build = ["--warn-error", "build", "--exclude-resource-type", "unit_test"]
    done = world.dbt(*build, "--full-refresh", "--sample", sample, *without, target="dev")
    assert done.returncode == 0, done.stdout
    assert net_sales(world, "dev_kpi") == Decimal(SHEETS[1].summary["net_sales"])
    assert net_sales(world, "kpi") == published


def test_only_what_was_changed_is_built_on_what_is_published(world: World, tmp_path: Path) -> None:
    """`state:modified` against the manifest of the main branch; all else is read where it is published."""
    load(world)
    world.transform()
    with_json = replace(world, env=world.env | {"DBT_WRITE_JSON": "true"})
    assert with_json.dbt("parse").returncode == 0
    changed = tmp_path / "changed"
    shutil.copytree(PROJECT, changed, ignore=shutil.ignore_patterns("target", "logs"))
    model = changed / "models/kpi/kpi_daily_category_sales.sql"
    model.write_text(model.read_text() + "where product_category <> ''\n")
    build = ["build", "--select", "state:modified", "--defer", "--state", str(world.dbt_folder)]
    done = dbt_in(changed, world, *build)
    assert done.returncode == 0, done.stdout
    built = {name for name, each in results(world, changed).items() if each["unique_id"].startswith("model.")}
    assert built == {"kpi_daily_category_sales"}
    total = "select sum(net_sales) from {}.kpi_daily_category_sales"
    assert world.value(total.format("dev_kpi")) == world.value(total.format("kpi"))
    assert not world.value("select to_regclass('dev_core.fct_sales_lines') is not null")
