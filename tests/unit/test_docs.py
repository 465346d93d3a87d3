"""What the documentation names exists, and what exists is named: commands, options, settings, files, tests, links."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from dashboard.settings import Settings as DashboardSettings
from loader.cli import app
from loader.settings import Settings
from scripts.stack import PREFERRED_PORTS

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page
    for folder in (REPOSITORY, REPOSITORY / "docs", REPOSITORY / "docs/adr", REPOSITORY / "dbt_sales")
    for page in folder.glob("*.md")
)
ENV_EXAMPLE = (REPOSITORY / ".env.example").read_text()
DOCUMENTED_SETTINGS = set(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", ENV_EXAMPLE, re.MULTILINE))
FENCE = re.compile(r"^ *```.*?\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
# A name with an underscore, or one of libpq's: a single capital word is as likely SQL or HTTP.
SETTING = re.compile(r"\b(?:[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|PG[A-Z]+)\b")
MAKE = re.compile(r"(?:^|[\s(])make ((?:[a-z-]+ ?)+)")
LOADER = re.compile(r"(?:^|&& |-m )(?:[\w.]*/)*loader ((?:feed |rejects (?=export|replay))?[a-z]+)\b([^|;&#]*)")


@dataclass(frozen=True)
class Code:
    """A code span, or a line of a code block."""

    page: str
    text: str


def code() -> Iterator[Code]:
    for page in PAGES:
        name, text = str(page.relative_to(REPOSITORY)), page.read_text()
        blocks = FENCE.findall(text)
        yield from (Code(name, line.strip().removeprefix("$ ")) for block in blocks for line in block.splitlines())
        yield from (Code(name, span) for span in SPAN.findall(FENCE.sub("", text)))


CODE = list(code())


def makefile_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


def loader_commands() -> dict[str, set[str]]:
    """Every command of the loader with its options, hidden ones excepted."""
    commands: dict[str, Any] = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        if getattr(command, "invoke_without_command", True):
            commands[name] = command
        commands |= {f"{name} {part}": each for part, each in getattr(command, "commands", {}).items()}
    return {
        name: {
            option
            for parameter in command.params
            if not getattr(parameter, "hidden", False)
            for option in (*parameter.opts, *parameter.secondary_opts)
            if option.startswith("--")
        }
        for name, command in commands.items()
    }


@cache
def settings() -> frozenset[str]:
    """Every variable that a part of the project reads."""
    compose = (REPOSITORY / "docker-compose.yml").read_text()
    return frozenset(
        {name.upper() for name in Settings.model_fields}
        | {f"DASHBOARD_{name.upper()}" for name in DashboardSettings.model_fields}
        | {f"STACK_{name.upper()}_PORT" for name in PREFERRED_PORTS}
        | set(re.findall(r"\$\{([A-Z0-9_]+)", compose))
        | set(re.findall(r"env_var\('([A-Z]+)'\)", (REPOSITORY / "dbt_sales/profiles.yml").read_text()))
        | set(re.findall(r"\b(DBT_[A-Z_]+)=", (REPOSITORY / "Dockerfile").read_text()))
    )


def anchors(page: Path) -> set[str]:
    """The anchors that a code host makes from the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_make_target_named_in_the_docs_exists() -> None:
    named = {(each.page, target) for each in CODE for group in MAKE.findall(each.text) for target in group.split()}
    assert named
    assert not {(page, target) for page, target in named if target not in makefile_targets()}


def test_every_make_target_is_named_in_the_docs() -> None:
    named = {target for each in CODE for group in MAKE.findall(each.text) for target in group.split()}
    assert makefile_targets() <= named


def test_every_loader_command_and_option_named_in_the_docs_exists() -> None:
    commands = loader_commands()
    named = [(each.page, command, rest) for each in CODE for command, rest in LOADER.findall(each.text)]
    assert named
    wrong = [(page, command) for page, command, _ in named if command not in commands]
    wrong += [
        (page, f"{command} {option}")
        for page, command, rest in named
        for option in re.findall(r"(?<!\S)--[a-z-]+", rest)
        if option not in commands.get(command, set()) | {"--help"}
    ]
    assert not wrong


@pytest.mark.parametrize("command", sorted(loader_commands()))
def test_every_loader_command_is_named_in_the_docs(command: str) -> None:
    assert command in {named for each in CODE for named, _ in LOADER.findall(each.text)}


def test_every_setting_named_in_the_docs_exists() -> None:
    named = {(each.page, name) for each in CODE for name in SETTING.findall(each.text)}
    assert named
    assert not {(page, name) for page, name in named if name not in settings()}


def test_the_example_environment_has_every_setting_and_no_other() -> None:
    assert settings() == DOCUMENTED_SETTINGS


def test_every_setting_of_the_example_environment_says_what_it_is_for() -> None:
    lines = ENV_EXAMPLE.splitlines()
    above = {line: lines[index - 1] for index, line in enumerate(lines) if re.match(r"#?[A-Z][A-Z0-9_]*=", line)}
    assert not [line for line, comment in above.items() if not re.match(r"# \w", comment)]


def test_no_secret_of_the_example_environment_has_a_value() -> None:
    for name, value in re.findall(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", ENV_EXAMPLE, re.MULTILINE):
        if re.search(r"PASSWORD|SECRET|ACCESS_KEY", name):
            assert not value, f"{name} has a value"
        assert not re.search(r"://\w+:(?!<password>@)[^@/]*@", value), f"{name} holds a password"


def test_every_default_of_the_example_environment_is_the_real_one() -> None:
    shown = dict(re.findall(r"^#([A-Z][A-Z0-9_]*)=(.+)$", ENV_EXAMPLE, re.MULTILINE))
    fields = {name.upper(): info for name, info in Settings.model_fields.items()}
    fields |= {f"DASHBOARD_{name.upper()}": info for name, info in DashboardSettings.model_fields.items()}
    defaults = {name: str(info.default) for name, info in fields.items() if not info.is_required() and info.default}
    assert {name: shown.get(name) for name in defaults} == defaults
    ports = {f"STACK_{name.upper()}_PORT": str(port) for name, port in PREFERRED_PORTS.items()}
    assert {name: shown.get(name) for name in ports} == ports


def test_every_file_of_the_project_named_in_the_docs_exists() -> None:
    part = r"(?:loader|dashboard|dbt_sales|scripts|docker|docs|tests|\.github)"
    named = {(each.page, path) for each in CODE for path in re.findall(rf"(?<![\w/.]){part}/[\w./-]*\w", each.text)}
    assert named
    assert not {
        (page, path)
        for page, path in named
        # dbt_sales/README.md speaks of its own folder.
        if not any((folder / path).exists() for folder in (REPOSITORY, (REPOSITORY / page).parent))
    }


def test_every_worked_example_names_what_its_files_have() -> None:
    examples = (REPOSITORY / "CONTRIBUTING.md").read_text().partition("## Where to add what")[2].partition("\n## ")[0]
    tables = [re.findall(r"^\| `(.+?)` \| (.+?) \|", part, re.MULTILINE) for part in examples.split("### ")[1:]]
    assert [len(rows) > 3 for rows in tables] == [True] * 4
    missing = [
        (file, name)
        for rows in tables
        for file, names in rows
        for name in SPAN.findall(names)
        if name not in (REPOSITORY / file).read_text()
    ]
    assert not missing


def test_every_test_named_in_the_docs_exists() -> None:
    files = (REPOSITORY / "tests").rglob("test_*.py")
    defined = {name for file in files for name in re.findall(r"def (test_\w+)", file.read_text())}
    named = {(each.page, name) for each in CODE for name in re.findall(r"\btest_\w+(?!\w|\.py)", each.text)}
    assert not {(page, name) for page, name in named if name not in defined}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_relative_link_resolves(page: Path) -> None:
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target} leads nowhere"
        assert not anchor or anchor in anchors(file), f"{target}: no such heading"


def test_the_walk_through_gives_the_output_that_it_shows(tmp_path: Path) -> None:
    blocks = FENCE.findall((REPOSITORY / "docs/adding-a-feed.md").read_text())
    sheet, feed = blocks[0], next(block for block in blocks if block.startswith("feed: garden"))
    command, _, shown = next(block for block in blocks if block.startswith("$ loader check")).partition("\n")
    file = tmp_path / command.split()[3]
    file.parent.mkdir()
    file.write_text(sheet)
    contract = tmp_path / "feeds" / "garden.yml"
    contract.parent.mkdir()
    contract.write_text(feed)

    def check(command: str = command) -> subprocess.CompletedProcess[str]:
        run = [sys.executable, "-m", *command.removeprefix("$ ").split()]
        env = os.environ | {"COLUMNS": "118", "PYTHONPATH": str(REPOSITORY)}
        return subprocess.run(run, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    init, _, draft = next(block for block in blocks if block.startswith("$ loader feed init")).partition("\n")
    drafted = check(init)
    assert (drafted.returncode, drafted.stdout) == (0, draft)
    assert drafted.stderr in blocks
    first = check()
    assert (first.returncode, first.stdout) == (1, shown)
    contract.write_text(feed + next(block for block in blocks if block.startswith("rejects:")))
    second = check()
    assert (second.returncode, second.stdout.splitlines()[-1]) == (0, "the file would be loaded")
    contract.write_text(feed.replace("Europe/Berlin", "Europe/Berln"))
    wrong = check()
    assert wrong.returncode == 2
    assert wrong.stderr in blocks
    contract.write_text(feed)
    file.write_text(sheet.replace("Pieces", "Qty pieces", 1))
    renamed = check()
    assert " ".join(renamed.stdout.splitlines()[2:]).split() in [block.split() for block in blocks]
