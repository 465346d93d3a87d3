"""The rules of dbt_sales, held over whatever models there are: each test is one rule and names what breaks it."""

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests import forked

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = REPOSITORY / "dbt_sales"
NO_DATABASE = dict.fromkeys(("PGHOST", "PGUSER", "PGPASSWORD", "PGDATABASE"), "none") | {"PGPORT": "1"}

NAMES = {
    "staging": r"stg_{folder}__[a-z_]+",
    "core": r"(dim|fct)_[a-z_]+",
    "kpi": r"kpi_[a-z_]+",
    "ops": r"ops_[a-z_]+",
}
READS = {
    "staging": {"source"},
    "core": {"staging", "core", "seed"},
    "kpi": {"core", "kpi", "seed", "function"},
    "ops": {"staging", "ops"},
    "snapshot": {"core"},
}
ACCESS = {"staging": "private", "core": "protected", "kpi": "public", "ops": "public"}
# What needs an example of its own: a choice, a look at other rows, a possible division by zero.
INTRICATE = re.compile(r"\bcase\b|\bover\s*(?:\(|[a-z_])|/", re.IGNORECASE)
MONEY = re.compile(r"(^|_)(sales|discounts|returns|amount|margin|value|cost|price|revenue|monetary|target|run_rate)$")
SCHEMA = re.compile(r"\b(?:from|join)\s+\"?(?:raw|staging|core|kpi\w*|next|ops|snapshots|seeds)\"?\.", re.IGNORECASE)
PAGES = {
    "Overview",
    "Explore",
    "Products",
    "Regions & reps",
    "Customers",
    "Orders",
    "Pipeline & quality",
    "Alerts & views",
}


def bare(sql: str) -> str:
    """SQL without comments, text literals and Jinja: only what PostgreSQL is told by the author."""
    for noise in (r"\{#.*?#\}", r"/\*.*?\*/", r"--[^\n]*", r"\{%.*?%\}", r"\{\{.*?\}\}", r"'(?:[^']|'')*'"):
        sql = re.sub(noise, " ", sql, flags=re.DOTALL)
    return sql


@dataclass(frozen=True)
class Project:
    """The parsed project: dbt's manifest."""

    manifest: dict[str, Any]

    @cached_property
    def models(self) -> dict[str, dict[str, Any]]:
        return {node["name"]: node for node in self._nodes("model")}

    @cached_property
    def tests(self) -> list[dict[str, Any]]:
        return list(self._nodes("test"))

    @cached_property
    def unit_tests(self) -> list[dict[str, Any]]:
        return list(self.manifest["unit_tests"].values())

    def _nodes(self, kind: str) -> Iterator[dict[str, Any]]:
        return (node for node in self.manifest["nodes"].values() if node["resource_type"] == kind)

    def parents(self, node: dict[str, Any]) -> list[dict[str, Any]]:
        known = self.manifest["nodes"] | self.manifest["sources"]
        return [known[parent] for parent in node["depends_on"]["nodes"]]

    def tests_of(self, model: dict[str, Any]) -> list[dict[str, Any]]:
        return [test for test in self.tests if test.get("attached_node") == model["unique_id"]]

    def grains(self, model: dict[str, Any]) -> list[list[str]]:
        """Sets of columns of which a test or a unique index says that no two rows have the same."""
        found = [index["columns"] for index in model["config"].get("indexes", []) if index.get("unique")]
        for test in self.tests_of(model):
            kind = test.get("test_metadata") or {}
            if kind.get("name") == "unique":
                found.append([test["column_name"]])
            elif kind.get("name") == "unique_combination_of_columns":
                found.append(kind["kwargs"]["combination"])
        return found

    def sql_of(self, model: dict[str, Any]) -> str:
        """The model's SQL with that of our macros which it expands, and of those that these expand."""
        macros = self.manifest["macros"]
        seen: set[str] = set()
        waiting = list(model["depends_on"]["macros"])
        while waiting:
            name = waiting.pop()
            if name not in seen and macros[name]["package_name"] == "dbt_sales":
                seen.add(name)
                waiting += macros[name]["depends_on"]["macros"]
        return "\n".join([bare(model["raw_code"]), *(bare(macros[name]["macro_sql"]) for name in sorted(seen))])


def layer(node: dict[str, Any]) -> str:
    """Folder under models/ of a model; of other nodes, what they are."""
    if node["resource_type"] == "model":
        return str(node["fqn"][1])
    return str(node["resource_type"])


def dbt(target: Path, *arguments: str) -> str:
    """What dbt says without a database."""
    env = os.environ | NO_DATABASE | {"DBT_TARGET_PATH": str(target), "DBT_LOG_PATH": str(target)}
    env["DBT_PROFILES_DIR"] = str(PROJECT)
    done = forked.run([forked.DBT, "--warn-error", *arguments], PROJECT, env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@cache
def selected(target: Path, selector: str) -> set[str]:
    """Ids of the nodes that a selector stands for."""
    listed = dbt(target, "--quiet", "ls", "--selector", selector, "--output", "json", "--output-keys", "unique_id")
    return {json.loads(line)["unique_id"] for line in listed.splitlines() if line.startswith("{")}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the manifest of the project, written by a parse that warns of nothing, deprecated or else."""
    folder = tmp_path_factory.mktemp("target")
    said = dbt(folder, "parse", "--show-all-deprecations", "--no-partial-parse")
    assert "deprecat" not in said.lower()
    return folder


@pytest.fixture(scope="module")
def project(target: Path) -> Project:
    return Project(json.loads((target / "manifest.json").read_text()))


def test_a_model_is_named_after_its_layer(project: Project) -> None:
    patterns = {name: NAMES[layer(model)].format(folder=model["fqn"][-2]) for name, model in project.models.items()}
    assert not [f"{name} is not {pattern}" for name, pattern in patterns.items() if not re.fullmatch(pattern, name)]


def test_a_layer_reads_only_the_layers_below_it(project: Project) -> None:
    nodes = [node for node in project.manifest["nodes"].values() if layer(node) in READS]
    assert not [
        f"{node['name']} ({layer(node)}) reads {parent['name']} ({layer(parent)})"
        for node in nodes
        for parent in project.parents(node)
        if layer(parent) not in READS[layer(node)]
    ]


def test_a_staging_model_is_one_source_and_every_source_has_one(project: Project) -> None:
    staging = [model for model in project.models.values() if layer(model) == "staging"]
    assert not [model["name"] for model in staging if len(project.parents(model)) != 1]
    read = {model["depends_on"]["nodes"][0] for model in staging}
    assert not set(project.manifest["sources"]) - read, "sources that no staging model reads"


def test_sources_are_read_whole_in_an_import_only(project: Project) -> None:
    """`with source as (select * from {{ source(…) }})`, then columns by name."""
    clause = re.compile(r"with source as \(\s*select \* from \{\{ source\([^)]*\) \}\}\s*\)")
    staging = {name: model["raw_code"] for name, model in project.models.items() if layer(model) == "staging"}
    assert not [
        name for name, sql in staging.items() if "source(" in clause.sub("", sql, count=1) or not clause.search(sql)
    ]
    assert not [name for name, sql in staging.items() if len(re.findall(r"select\s+\*", bare(sql))) > 2]


def test_an_exposure_reads_only_public_models(project: Project) -> None:
    assert not [
        f"{exposure['label']} reads {parent['name']}"
        for exposure in project.manifest["exposures"].values()
        for parent in project.parents(exposure)
        if parent.get("access") != "public"
    ]


def test_metrics_are_made_of_marts(project: Project) -> None:
    semantic = project.manifest["semantic_models"].values()
    assert not [
        f"{each['name']} reads {parent['name']}"
        for each in semantic
        for parent in project.parents(each)
        if layer(parent) != "kpi"
    ]
    described = [*semantic, *project.manifest["metrics"].values(), *project.manifest["saved_queries"].values()]
    described += [part for each in semantic for part in (*each["measures"], *each["dimensions"], *each["entities"])]
    assert not [each["name"] for each in described if not (each["description"] or "").strip()]


def test_metrics_of_sales_and_of_products_can_be_cut_by_the_same_places(project: Project) -> None:
    models = [each for each in project.manifest["semantic_models"].values() if each["measures"]]
    assert {each["name"] for each in models} == {"daily_sales", "daily_place_product_sales"}
    places = {"currency", "sales_region", "store", "sales_channel", "sales_representative"}
    assert not [each["name"] for each in models if not places <= {entity["name"] for entity in each["entities"]}]


def test_every_saved_query_keeps_currencies_apart(project: Project) -> None:
    saved = project.manifest["saved_queries"].values()
    assert saved
    assert not [each["name"] for each in saved if "Entity('currency')" not in each["query_params"]["group_by"]]


def test_every_page_of_the_dashboard_is_an_exposure(project: Project) -> None:
    exposures = project.manifest["exposures"].values()
    assert {exposure["label"] for exposure in exposures} == PAGES
    assert not [each["name"] for each in exposures if not each["description"].strip() or not each["owner"]["name"]]
    assert not [each["name"] for each in exposures if not project.parents(each)]
    addresses = {urlsplit(each["url"] or "").path.removeprefix("/") for each in exposures}
    views = {file.stem for file in (REPOSITORY / "dashboard/views").glob("*.py")}
    assert addresses == views - {"overview"} | {""}, "the page that is shown at first has no path"


def test_what_the_dashboard_reads_is_in_an_exposure(project: Project) -> None:
    statements = "\n".join(file.read_text() for file in (REPOSITORY / "dashboard/sql").glob("*.sql"))
    read = set(re.findall(r"\b(?:kpi|ops)\.((?:kpi|ops)_\w+)", statements))
    exposed = {parent["name"] for each in project.manifest["exposures"].values() for parent in project.parents(each)}
    assert read
    assert not read - exposed


def test_every_model_states_its_grain_first(project: Project) -> None:
    assert not [
        name for name, model in project.models.items() if not re.match(r"One row( per|: )", model["description"])
    ]


@pytest.mark.parametrize("kind", ["model", "seed", "snapshot", "source", "macro"])
def test_everything_is_described(project: Project, kind: str) -> None:
    """Each column, too; `dbt docs` and the comments in PostgreSQL are made of it."""
    everything = [
        node
        for group in ("nodes", "sources", "macros")
        for node in project.manifest[group].values()
        if node["resource_type"] == kind
        and node["package_name"] == "dbt_sales"
        # What an engine has for a macro is described by the macro.
        and not re.match(r"(default|spark)__|materialization_", node["name"])
    ]
    missing = [node["name"] for node in everything if not node["description"].strip()]
    missing += [
        f"{node['name']}.{column['name']}"
        for node in everything
        for column in node.get("columns", {}).values()
        if not column["description"].strip()
    ]
    assert not missing


def test_facts_dimensions_marts_and_views_of_the_ledger_have_enforced_contracts(project: Project) -> None:
    bound = {
        name: model
        for name, model in project.models.items()
        # One that is a part of what reads it is held to nothing by dbt.
        if re.match(r"(fct|dim|kpi|ops)_", name) and model["config"]["materialized"] != "ephemeral"
    }
    assert not [name for name, model in bound.items() if not model["config"]["contract"]["enforced"]]
    assert not [
        f"{name}.{column['name']}"
        for name, model in bound.items()
        for column in model["columns"].values()
        if not column["data_type"]
    ]


def test_only_what_the_dashboard_may_read_is_public_and_everything_has_an_owner(project: Project) -> None:
    models = project.models.items()
    assert not [f"{name}: {model['access']}" for name, model in models if model["access"] != ACCESS[layer(model)]]
    assert not [name for name, model in models if not model["group"]]


def test_every_grain_is_tested(project: Project) -> None:
    assert not [name for name, model in project.models.items() if not project.grains(model)]


def test_a_key_of_one_column_is_never_null(project: Project) -> None:
    """By a test beside `unique`, which is what other tools take for a key."""
    tested = defaultdict(set)
    for test in project.tests:
        if test.get("test_metadata") and test["column_name"]:
            tested[test["attached_node"], test["column_name"]].add(test["test_metadata"]["name"])
    assert not [node for (node, _), kinds in tested.items() if "unique" in kinds and "not_null" not in kinds]


def test_every_model_has_a_test(project: Project) -> None:
    examples = {parent for test in project.unit_tests for parent in test["depends_on"]["nodes"]}
    assert not [
        name
        for name, model in project.models.items()
        if not project.tests_of(model) and model["unique_id"] not in examples
    ]


def test_every_generic_test_is_used(project: Project) -> None:
    macros = {each["name"] for each in project.manifest["macros"].values() if each["package_name"] == "dbt_sales"}
    used = {f"test_{test['test_metadata']['name']}" for test in project.tests if test.get("test_metadata")}
    assert not {name for name in macros if name.startswith("test_")} - used


def test_every_case_window_and_division_has_a_unit_test(project: Project) -> None:
    examples = {test["model"] for test in project.unit_tests}
    assert not [
        f"{name}: {found[0].strip()}"
        for name, model in project.models.items()
        if (found := INTRICATE.search(project.sql_of(model))) and name not in examples
    ]


def test_money_comes_with_its_currency(project: Project) -> None:
    """As a column, and in a grain: no row of a mart can hold money of two currencies. A single line has but one."""
    marts = {name: model for name, model in project.models.items() if layer(model) == "kpi"}
    moneyed = {name: model for name, model in marts.items() if any(map(MONEY.search, model["columns"]))}
    assert moneyed
    assert not [name for name, model in moneyed.items() if not any(map(is_currency, model["columns"]))]
    assert not [
        f"{name}: {project.grains(model)}"
        for name, model in moneyed.items()
        if not any(is_currency(column) or column == "row_number" for grain in project.grains(model) for column in grain)
    ]


def is_currency(column: str) -> bool:
    return column.endswith("currency")


def test_macros_stay_few() -> None:
    """A macro is SQL that does not stand where it runs. In `engines` one says a thing once for each engine."""
    lines = {True: 0, False: 0}
    for file in (PROJECT / "macros").rglob("*.sql"):
        lines["engines" in file.parts] += len(file.read_text().splitlines())
    assert lines[False] <= 450
    assert lines[True] <= 120


def test_no_schema_is_written_out(project: Project) -> None:
    """`ref` and `source` know where a table is; the tables that steer a run are named by one macro."""
    macros = [each for each in project.manifest["macros"].values() if each["package_name"] == "dbt_sales"]
    texts = {each["name"]: each["macro_sql"] for each in macros}
    texts |= {node["name"]: node.get("raw_code", "") for node in project.manifest["nodes"].values()}
    assert not [f"{name}: {found[0]}" for name, sql in texts.items() if (found := SCHEMA.search(bare(sql)))]


def test_one_properties_file_per_folder_and_kind(project: Project) -> None:
    """`_<folder>__models.yml` beside the models, and `__unit_tests.yml` and `__sources.yml` likewise."""
    files: dict[tuple[Path, str], set[str]] = defaultdict(set)
    folders = {}
    for model in project.models.values():
        folders[model["name"]] = Path(model["original_file_path"]).parent
        files[folders[model["name"]], "models"].add(str(model["patch_path"]).partition("://")[2])
    for test in project.unit_tests:
        files[folders[test["model"]], "unit_tests"].add(test["original_file_path"])
    for source in project.manifest["sources"].values():
        file = Path(source["original_file_path"])
        files[file.parent, "sources"].add(str(file))
    wrong = []
    for (folder, kind), found in files.items():
        (path, *others) = found
        if others or Path(path).parent != folder or not re.fullmatch(rf"_[a-z_]+?__{kind}\.yml", Path(path).name):
            wrong.append(f"{kind} of {folder}: {sorted(found)}")
    assert not wrong


def test_every_selector_that_is_named_exists_and_is_described(project: Project) -> None:
    named = set(re.findall(r"--selector (\w+)", (PROJECT / "README.md").read_text()))
    worker = "".join((REPOSITORY / "loader" / each).read_text() for each in ("transform.py", "lake/serving.py"))
    assert named
    assert named | {"on_arrival"} <= set(project.manifest["selectors"])
    assert not [name for name in project.manifest["selectors"] if name not in worker and name not in named]
    assert not [name for name, each in project.manifest["selectors"].items() if not each.get("description")]


def test_the_tag_publish_says_what_blocks_publication(project: Project, target: Path) -> None:
    """An arrival builds tables and runs the tests so tagged, which must be able to fail; every test is scheduled."""
    arriving = selected(target, "on_arrival")
    nodes = project.manifest["nodes"]
    tagged = {test["unique_id"] for test in project.tests if "publish" in test["tags"]}
    assert tagged
    assert {name for name in arriving if name.startswith(("test.", "unit_test."))} == tagged
    assert not [name for name in tagged if nodes[name]["config"]["severity"].lower() != "error"]
    everything = {test["unique_id"] for test in (*project.tests, *project.unit_tests)}
    assert selected(target, "scheduled_tests") == everything
    views = [name for name in arriving - tagged if nodes[name]["config"]["materialized"] != "incremental"]
    assert not views, "built anew on each arrival without need"


def test_no_arrival_waits_for_a_mart_of_the_whole_history(project: Project, target: Path) -> None:
    """It is tagged by its folder, always whole, and built by runs of its own; nothing that is live is built from it."""
    history = {model["unique_id"] for model in project.models.values() if model["path"].startswith("kpi/history/")}
    assert history == selected(target, "history")
    assert not history & selected(target, "on_arrival")
    assert history | selected(target, "on_arrival") == selected(target, "behind")
    assert selected(target, "behind") | selected(target, "definitions") == selected(target, "everything")
    nodes = project.manifest["nodes"]
    built_from = {parent for name in selected(target, "on_arrival") for parent in nodes[name]["depends_on"]["nodes"]}
    assert not history & built_from
    assert not [name for name in history if re.search(r"increments\(|affected", nodes[name]["raw_code"])]


def test_no_tag_without_a_meaning(project: Project) -> None:
    nodes = [*project.manifest["nodes"].values(), *project.unit_tests]
    tags = {"publish", "history"}
    assert not [f"{node['name']}: {tag}" for node in nodes for tag in node["config"]["tags"] if tag not in tags]
