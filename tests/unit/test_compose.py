"""docker-compose.yml and the Dockerfile keep their promises, as far as can be seen without a Docker engine."""

import importlib.resources
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from loader.settings import Settings
from scripts.stack import postgres_binaries
from tests.servers import compose, parts

REPOSITORY = Path(__file__).resolve().parents[2]
COMPOSE = (REPOSITORY / "docker-compose.yml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
ONE_SHOT = {name for name, service in SERVICES.items() if service["restart"] == "no"}
LONG_RUNNING = set(SERVICES) - ONE_SHOT
DBT_SETTINGS = {"PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE"}
LOADER_SERVICES = {"migrate", "loader", "watcher", "bridge", "generator"}
ROOT_WITH_A_REASON = {"s3"}  # its comment in docker-compose.yml says why
SECRET = re.compile(r"PASSWORD|SECRET|ACCESS_KEY")


def test_is_valid_by_the_compose_specification() -> None:
    schema = importlib.resources.files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json"
    jsonschema.Draft202012Validator(json.loads(schema.read_text())).validate(yaml.safe_load(COMPOSE))


def test_services_wait_for_services_that_exist_and_can_fulfil_the_condition() -> None:
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in SERVICES, f"{name} waits for {needed}"
            condition = how["condition"]
            assert condition == ("service_completed_successfully" if needed in ONE_SHOT else "service_healthy")


@pytest.mark.parametrize("name", sorted(LONG_RUNNING))
def test_long_running_services_restart_and_have_a_health_check(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


def test_images_are_pinned_to_a_patch_version() -> None:
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    bases = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    for image in [service["image"] for service in SERVICES.values()] + bases:
        assert re.search(r":v?\d+\.\d+\.\d+|:\d+\.\d+-", image), f"{image} names no exact version"


def test_the_servers_are_of_the_versions_that_the_suite_of_servers_runs() -> None:
    """It takes both from this file, so that a pin that is raised is a version that is tested."""
    assert SERVICES["topics"]["image"] == SERVICES["kafka"]["image"] == f"apache/kafka:{compose.version('kafka')}"
    assert SERVICES["s3"]["image"] == f"versity/versitygw:v{compose.version('s3')}"
    named = re.findall(r"<artifactId>kafka[\w.-]*</artifactId>\s*<version>(.+?)</version>", parts.POM.read_text())
    assert set(named[1:]) == {"${kafka.version}"}
    postgres = subprocess.run(
        [postgres_binaries() / "postgres", "--version"], capture_output=True, text=True, check=True
    )
    major = postgres.stdout.split()[2].partition(".")[0]
    assert SERVICES["postgres"]["image"].startswith(f"postgres:{major}.")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_services_run_without_privileges(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    if name in OURS:
        assert service["read_only"]
        assert "user" not in service, "the image's own user is the one"
    elif name in ROOT_WITH_A_REASON:
        assert service["user"] == "0:0"
    else:
        assert service["user"] not in ("root", "0", "0:0")


def test_the_image_runs_as_a_user_of_its_own_and_copies_what_exists() -> None:
    lines = (REPOSITORY / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001"]
    kept = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source for line in lines if line.startswith("COPY ") and "--from" not in line for source in line.split()[1:-1]
    }
    assert copied == kept
    assert not [source for source in copied if not (REPOSITORY / source).exists()]


def test_no_secret_has_a_value_or_a_default() -> None:
    for variable, rest in re.findall(r"\$\{(\w+)(.*?)\}", COMPOSE):
        if SECRET.search(variable):
            assert rest == f":?set {variable} in .env"
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if SECRET.search(variable) or ("://" in value and "@" in value):
                assert ":?" in value, f"{name}: {variable} stands in the file"


def test_mounts_from_the_repository_are_read_only() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    volumes = yaml.safe_load(COMPOSE)["volumes"]
    for mount in mounts:
        source = mount.split(":")[0]
        assert mount.endswith(":ro") if source.startswith(".") else source in volumes


def test_ports_are_open_to_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", sorted(LOADER_SERVICES))
def test_the_loader_gets_every_setting_it_requires_and_none_it_does_not_know(name: str) -> None:
    fields = {field.upper(): info for field, info in Settings.model_fields.items()}
    given = set(SERVICES[name]["environment"])
    assert given - DBT_SETTINGS <= set(fields)
    assert {setting for setting, info in fields.items() if info.is_required()} <= given


def test_dbt_and_the_dashboard_get_their_own_roles() -> None:
    assert set(SERVICES["docs"]["environment"]) == DBT_SETTINGS
    assert set(SERVICES["loader"]["environment"]) >= DBT_SETTINGS
    assert SERVICES["dashboard"]["environment"]["DASHBOARD_DATABASE_URL"].startswith("postgresql://dashboard:")
    with_the_administrator = {name for name, service in OURS.items() if "POSTGRES_PASSWORD" in str(service)}
    assert with_the_administrator == {"migrate"}


def test_the_s3_server_announces_to_the_topic_that_the_loader_reads() -> None:
    topic = SERVICES["loader"]["environment"]["KAFKA_TOPIC"]
    assert SERVICES["s3"]["environment"]["VGW_EVENT_KAFKA_TOPIC"] == topic
    assert topic in SERVICES["topics"]["command"]


def test_what_is_only_for_some_starts_with_its_profile_only() -> None:
    assert {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service} == {
        "bridge": ["aws"],
        "generator": ["demo"],
    }
    assert SERVICES["bridge"]["environment"]["SQS_QUEUE_URL"] == "${SQS_QUEUE_URL:-}", "others need not set it"


def test_every_variable_is_documented_in_the_example() -> None:
    example = (REPOSITORY / ".env.example").read_text()
    documented = set(re.findall(r"^#?\s*(?:export )?([A-Z][A-Z0-9_]*)=", example, re.MULTILINE))
    named = set(re.findall(r"\$\{(\w+)", COMPOSE))
    settings = {variable for service in OURS.values() for variable in service.get("environment", {})}
    assert named | {each for each in settings if not each.startswith("STREAMLIT_")} <= documented


def test_the_roles_script_creates_every_role_with_its_password() -> None:
    script = REPOSITORY / "docker" / "initdb" / "roles.sh"
    assert os.access(script, os.X_OK)
    roles = re.findall(r"create role (\w+) login password :'(\w+)'", script.read_text())
    assert roles == [(role, role) for role in ("loader", "transformer", "dashboard", "analyst")]
    given = set(SERVICES["postgres"]["environment"])
    assert set(re.findall(r"\\getenv \w+ (\w+)", script.read_text())) <= given


@pytest.mark.parametrize("name", ["loader", "watcher"])
def test_a_process_with_a_loop_is_asked_itself_whether_it_is_well(name: str) -> None:
    service = SERVICES[name]
    assert "METRICS_PORT" in service["healthcheck"]["test"]
    assert service["environment"]["METRICS_HOST"] == "0.0.0.0", "a Prometheus in another container could not ask it"
    assert "ports" not in service


def test_the_health_check_tells_an_open_port_from_a_closed_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = cast(int, server.getsockname()[1])
        assert health(f"127.0.0.1:{port}").returncode == 0
        assert health(f"postgresql://loader:secret@127.0.0.1:{port}/sales").returncode == 0
    assert health("").returncode == 0, "an empty setting means AWS"
    refused = health(f"postgresql://loader:secret@127.0.0.1:{port}/sales")
    assert refused.returncode == 1
    assert f"SERVER: 127.0.0.1:{port} does not answer" in refused.stderr
    assert "secret" not in refused.stderr


def health(server: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "docker" / "healthcheck.py"), "SERVER"]
    return subprocess.run(command, env={"SERVER": server}, capture_output=True, text=True, check=False)
