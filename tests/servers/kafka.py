"""Apache Kafka, set up from compose's own `KAFKA_*` environment by the program that its container image starts with."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from scripts.stack import free_port
from tests.conftest import eventually
from tests.servers import compose, parts
from tests.unit.test_broker import Authority

# The image's scripts set it where nobody has, so that a broker with an empty volume is the same cluster.
CLUSTER = {"CLUSTER_ID": "5L6g3nShT-eMCtK--X86sw"}
LOGIN, PASSWORD = "sales", "a password of the tests"
TOPICS = "org.apache.kafka.tools.TopicCommand"  # bin/kafka-topics.sh
JAAS = "org.apache.kafka.common.security"
END_SECONDS = 60


@dataclass
class Broker:
    """One broker in a folder. Its listener of compose has no security; a second one asks for TLS and a login.

    `mark` are the variables by which the stack's keeper knows its processes.
    """

    folder: Path
    mark: Mapping[str, str]
    port: int = field(default_factory=free_port)
    secure_port: int = field(default_factory=free_port)
    controller_port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self._authority = Authority(self._folder("certificates"), "authority")
        self.authority = self._authority.file

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def addresses(self) -> dict[str, str]:
        """What stands in docker-compose.yml, and what it is here."""
        return {
            "://:9092": f"://{self.address}",
            "kafka:9092": self.address,
            "://:9093": f"://127.0.0.1:{self.controller_port}",
            "localhost:9093": f"127.0.0.1:{self.controller_port}",
            "/var/lib/kafka/data": str(self.folder / "data"),
        }

    def start(self) -> None:
        """As the container starts: set up, where that has not been done, then serve. Returns when it answers."""
        settings = compose.environment("kafka", {}, self.addresses)
        properties = set_up(self.folder, settings | self._security(settings), self._run)
        with (self.folder / "log").open("ab") as log:
            started = command("kafka.Kafka", str(properties))
            self._process = subprocess.Popen(started, env=self._env({}), stdout=log, stderr=log)
        eventually("the broker", self._answers)
        self._admit()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._process:
            self._process.send_signal(number)
            self._process.wait(END_SECONDS)
            self._process = None

    def wipe(self) -> None:
        """As with a new volume: the broker is killed, and starts with nothing."""
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder / "data")
        self.start()

    def create_topic(self, name: str, partitions: int | None = None) -> None:
        """By the command of compose's service `topics`."""
        service = compose.SERVICES["topics"]
        changed = {**self.addresses, "sales.files": name}
        arguments = [compose.at(each, changed) for each in (*service["entrypoint"][1:], *service["command"])]
        if partitions:
            arguments[arguments.index("--partitions") + 1] = str(partitions)
        done = self._run(command(TOPICS, *arguments), {})
        assert done.returncode == 0, done.stdout + done.stderr

    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.address, "log_level": 0})

    def _answers(self) -> bool:
        assert self._process
        assert self._process.poll() is None, f"the broker has ended: see {self.folder / 'log'}"
        with suppress(KafkaException):
            self.admin().list_topics(timeout=1)
            return True
        return False

    def _admit(self) -> None:
        """Let the login in by SCRAM-SHA-512, too: such logins are kept by the broker."""
        secret = UserScramCredentialUpsertion(
            LOGIN, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), PASSWORD.encode()
        )
        admin = self.admin()
        for done in admin.alter_user_scram_credentials([secret]).values():
            done.result(END_SECONDS)

    def _security(self, settings: Mapping[str, str]) -> dict[str, str]:
        """A second listener, and what it shows and asks for."""
        certificate, key = self._authority.signed("broker")
        store = certificate.with_name("store.pem")
        store.write_text(key.read_text() + certificate.read_text())
        listener = f"SASL_SSL://127.0.0.1:{self.secure_port}"
        prefix = "KAFKA_LISTENER_NAME_SASL__SSL"
        return {
            "KAFKA_LISTENERS": f"{settings['KAFKA_LISTENERS']},{listener}",
            "KAFKA_ADVERTISED_LISTENERS": f"{settings['KAFKA_ADVERTISED_LISTENERS']},{listener}",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": (
                f"{settings['KAFKA_LISTENER_SECURITY_PROTOCOL_MAP']},SASL_SSL:SASL_SSL"
            ),
            "KAFKA_SSL_KEYSTORE_TYPE": "PEM",
            "KAFKA_SSL_KEYSTORE_LOCATION": str(store),
            "KAFKA_SASL_ENABLED_MECHANISMS": "PLAIN,SCRAM-SHA-512",
            f"{prefix}_PLAIN_SASL_JAAS_CONFIG": (f'{JAAS}.plain.PlainLoginModule required user_{LOGIN}="{PASSWORD}";'),
            f"{prefix}_SCRAM___SHA___512_SASL_JAAS_CONFIG": f"{JAAS}.scram.ScramLoginModule required;",
        }

    def _folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _run(self, command: list[str], env: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(command, env=self._env(env), capture_output=True, text=True, check=False)

    def _env(self, more: Mapping[str, str]) -> dict[str, str]:
        """This process's environment without settings of the loader, which Kafka would take for its own."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("KAFKA_")}
        return {**ours, **self.mark, **more}


def set_up(
    folder: Path,
    settings: Mapping[str, str],
    run: Callable[[list[str], Mapping[str, str]], "subprocess.CompletedProcess[str]"],
) -> Path:
    """As the container does whenever it starts: properties from the environment, and the volume, where it is empty."""
    options = []
    for name in ("default", "mounted", "final"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        options += [f"--{name}-configs-dir", str(folder / name)]
    done = run(command("kafka.docker.KafkaDockerWrapper", "setup", *options), {**settings, **CLUSTER})
    told = done.stdout + done.stderr
    assert done.returncode == 0 or "already formatted" in told, told  # the image's script passes over it, too
    return folder / "final" / "server.properties"


def command(*arguments: str) -> list[str]:
    """Run a program of Kafka's."""
    return [parts.java(), "-Xmx512m", "-cp", f"{parts.kafka()}/*", *arguments]
