"""The image is built from the Dockerfile, and every service of docker-compose.yml runs as it stands there."""

import json
import shutil
import sys
from collections.abc import Iterator
from decimal import Decimal

import pytest

from scripts.stack import REPOSITORY, _prepare_postgres, postgres_binaries
from tests.conftest import eventually
from tests.servers import compose, kafka, parts
from tests.servers.house import House, Image, built, missing, opened

pytestmark = pytest.mark.timeout(1800)  # building it takes some minutes the first time

PASSWORDS = ("POSTGRES", "LOADER", "TRANSFORMER", "DASHBOARD", "ANALYST")
SECRETS = {f"{role}_PASSWORD": f"secret{number}" for number, role in enumerate(PASSWORDS)} | {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secretkey",
}
# In containers each has an address of its own; here the two would listen on one port.
WATCHER = {"METRICS_PORT": "9465"}
# An imitation of SQS, which compose has no service for: AWS itself needs no address.
SQS = {"SQS_ENDPOINT_URL": "http://127.0.0.1:5000", "SQS_QUEUE_URL": "http://127.0.0.1:5000/123456789012/arrivals"}
QUEUE = """
import sys, boto3
sqs = boto3.client("sqs", endpoint_url="http://127.0.0.1:5000", region_name="us-east-1")
url = sqs.create_queue(QueueName="arrivals")["QueueUrl"]
sqs.send_message(QueueUrl=url, MessageBody=sys.argv[1])
print(url)
"""
LEFT = """
import boto3
sqs = boto3.client("sqs", endpoint_url="http://127.0.0.1:5000", region_name="us-east-1")
names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
told = sqs.get_queue_attributes(QueueUrl="http://127.0.0.1:5000/123456789012/arrivals", AttributeNames=names)
print(sum(map(int, told["Attributes"].values())))
"""
DAYS = 92  # the generator's
LOOK = """
from scripts.browser import chromium
with chromium() as browser:
    page = browser.new_page()
    page.goto("http://127.0.0.1:8501")
    page.get_by_text("Total sales").first.wait_for(timeout=120_000)
    print(page.inner_text("body"))
"""


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    if reason := missing():
        pytest.skip(f"the image is not built: {reason}")
    parts.kafka()
    parts.versitygw()
    with built() as image:
        yield image


@pytest.fixture(scope="module")
def house(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Everything that `docker compose --profile demo up` starts, up and healthy."""
    folder = tmp_path_factory.mktemp("house")
    try:
        with opened(folder, image, SECRETS) as house:
            start_postgres(house)
            start_kafka(house)
            start_s3(house)
            done = house.run_ours("migrate")
            assert done.returncode == 0, done.stderr
            for service in ("loader", "dashboard", "docs", "generator"):
                house.start_ours(service)
            house.start_ours("watcher", **WATCHER)
            yield house
    finally:
        shutil.rmtree((folder / "postgres").resolve(), ignore_errors=True)


def start_postgres(house: House) -> None:
    """As the image does with an empty volume: the database, then docker/initdb/roles.sh as it stands."""
    env = house.env("postgres")
    postgres = _prepare_postgres(house.folder, env["POSTGRES_PASSWORD"])
    place = str(postgres.data.parent)  # its user reaches no other folder of ours
    options = (f"unix_socket_directories={place}", "listen_addresses=*", "fsync=off")
    command = [str(postgres.binaries / "postgres"), "-D", str(postgres.data)]
    command += [part for option in options for part in ("-c", option)]
    house.start("postgres", command, {}, postgres.user)
    env |= {"PATH": f"{postgres_binaries()}:/usr/bin:/bin", "PGHOST": place, "PGPASSWORD": env["POSTGRES_PASSWORD"]}
    ready = compose.SERVICES["postgres"]["healthcheck"]["test"][1:]
    eventually("PostgreSQL", lambda: house.run(ready, env).returncode == 0)
    for command in (["createdb", "--username=postgres", "sales"], [str(REPOSITORY / "docker/initdb/roles.sh")]):
        done = house.run(command, env)
        assert done.returncode == 0, done.stderr


def start_kafka(house: House) -> None:
    settings = house.env("kafka") | {"KAFKA_LOG_DIRS": str(house.folder / "kafka" / "data")}
    properties = kafka.set_up(house.folder / "kafka", settings, house.run)
    house.start("kafka", kafka.command("kafka.Kafka", str(properties)), {})
    house.wait_for("kafka")
    topics = compose.SERVICES["topics"]
    done = house.run(kafka.command(kafka.TOPICS, *topics["entrypoint"][1:], *topics["command"]), {})
    assert done.returncode == 0, done.stdout + done.stderr


def start_s3(house: House) -> None:
    data = house.folder / "objects"
    (data / "sales").mkdir(parents=True)
    arguments = [compose.at(each, {"/data": str(data)}) for each in compose.SERVICES["s3"]["command"]]
    without = ["setpriv", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]
    house.start("s3", [*without, str(parts.versitygw()), *arguments], house.env("s3"))
    house.wait_for("s3")


def ask(house: House, query: str, login: str = "postgres") -> str:
    """The answer of PostgreSQL, as psql prints it."""
    psql = [str(postgres_binaries() / "psql"), "-h", "postgres", "-U", login, "-d", "sales", "-XAtc", query]
    done = house.run(psql, {"PGPASSWORD": SECRETS[f"{login.upper()}_PASSWORD"]})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def at_the_queue(house: House, program: str, *arguments: str) -> str:
    """What the program prints; nothing while the queue's server is not up."""
    login = {name: SECRETS[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    return house.run([sys.executable, "-c", program, *arguments], login).stdout.strip()


def test_the_image_runs_as_its_user_without_privileges_and_writes_nowhere_but_to_tmp(house: House) -> None:
    status = house.run_ours("loader", ["cat", "/proc/self/status"]).stdout
    told = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert told["Uid"].split() == ["10001"] * 4
    assert {told[name].strip("0") for name in ("CapPrm", "CapEff", "CapBnd")} == {""}
    assert told["NoNewPrivs"] == "1"
    assert house.run_ours("loader", ["touch", "/app/mine"]).returncode != 0
    assert house.run_ours("loader", ["touch", "/tmp/mine"]).returncode == 0


def test_every_service_passes_its_health_check(house: House) -> None:
    for service in ("postgres", "kafka", "s3", "loader", "dashboard", "docs", "generator"):
        house.wait_for(service)
    house.wait_for("watcher", **WATCHER)


def test_a_health_check_fails_while_its_server_is_away(house: House) -> None:
    told = house.run_ours("loader", compose.SERVICES["loader"]["healthcheck"]["test"][1:], METRICS_PORT="9499")
    assert told.returncode != 0
    assert "does not answer" in told.stderr


def test_the_sheets_of_the_generator_come_out_on_the_dashboard_to_the_cent(house: House) -> None:
    modelled = f"select count(*) >= {DAYS} from raw.files where modelled_at is not null"
    eventually("every sheet in the marts", lambda: ask(house, modelled) == "t", seconds=300)
    sheets = json.loads(house.run_ours("generator", ["cat", "/tmp/manifest.json"]).stdout)
    today = max(each["sale_date"] for each in sheets.values())
    expected = sum(Decimal(each["net_sales"]) for each in sheets.values() if each["sale_date"] < today)
    query = f"select sum(net_sales) from kpi.kpi_daily_sales where sale_date < '{today}'"
    assert Decimal(ask(house, query)) == expected
    assert Decimal(ask(house, query, "analyst")) == expected
    page = house.run([sys.executable, "-c", LOOK], {"PYTHONPATH": str(REPOSITORY)}, cwd=REPOSITORY)
    assert page.returncode == 0, page.stderr
    assert "Total sales" in page.stdout


def test_the_bridge_carries_what_a_queue_has_to_the_loader(house: House) -> None:
    house.start("sqs", [sys.executable, "-m", "moto.server", "-p", "5000"], {})
    body = (REPOSITORY / "tests/fixtures/events/aws.json").read_text()
    told = eventually("the queue", lambda: at_the_queue(house, QUEUE, body))
    assert told == SQS["SQS_QUEUE_URL"]
    house.start_ours("bridge", **SQS)
    house.wait_for("bridge", **SQS)
    # The loader passes over what is in another bucket, and says so.
    eventually("the loader to have it", lambda: "orchard-sales" in (house.folder / "loader.log").read_text())
    eventually("an empty queue", lambda: at_the_queue(house, LEFT) == "0")


@pytest.mark.parametrize("command", ["status", "rejects --limit 20", "files"])
def test_everyday_commands_work_in_the_loaders_container(house: House, command: str) -> None:
    done = house.run_ours("loader", ["python", "-m", "loader", *command.split()])
    assert done.returncode == 0, done.stderr
