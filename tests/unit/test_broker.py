"""The security settings reach the wire: a listener shows certificates, asks for ours, and reads the login."""

import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from loader import broker
from loader.broker import Publisher, Subscription, ensure_topics
from loader.errors import SettingsError, TransientError
from loader.events import FileArrived
from loader.settings import Settings

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE = 18, 17, 36
UNSUPPORTED_VERSION, LOGIN_FAILED = 35, 58


@dataclass(frozen=True)
class Authority:
    """Signs certificates, and writes them and their keys as PEM files."""

    folder: Path
    name: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def file(self) -> Path:
        """The authority's own certificate."""
        return self._write(self.name, self._certificate(self.name, self.key, ca=True))

    def signed(self, name: str, password: str = "") -> tuple[Path, Path]:
        """Certificate for 127.0.0.1 and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        lock = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
        certificate = self._write(name, self._certificate(name, key, ca=False))
        return certificate, self._write(f"{name}.key", pem)

    def _certificate(self, name: str, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> bytes:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
            .sign(self.key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )

    def _write(self, name: str, pem: bytes) -> Path:
        file = self.folder / f"{name}.pem"
        file.write_bytes(pem)
        return file


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The listener never answers to the end."""
    monkeypatch.setattr(broker, "_DELIVERY_SECONDS", 1)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def settings(listener: socket.socket, **given: str | Path) -> Settings:
    return Settings.read(
        database_url="postgresql://loader:secret@db/sales",
        s3_bucket="sales",
        kafka_bootstrap_servers=f"127.0.0.1:{listener.getsockname()[1]}",
        **{name: str(value) for name, value in given.items()},
    )


def serve(listener: socket.socket, answer: Callable[[socket.socket], object]) -> Queue[object]:
    """Answer each connection in turn; what the answers return is in the queue."""
    found: Queue[object] = Queue()

    def accept() -> None:
        with suppress(OSError):  # the test is over
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):  # it was closed on us
                    found.put(answer(connection))

    Thread(target=accept, daemon=True).start()
    return found


def subject_of_the_client(certificate: Path, key: Path, authority: Path) -> Callable[[socket.socket], object]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority)
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED

    def answer(connection: socket.socket) -> object:
        with context.wrap_socket(connection, server_side=True) as secured:
            shown = secured.getpeercert() or {}
            return shown.get("subject"), secured.recv(1) != b""

    return answer


def announce(settings: Settings) -> None:
    Publisher(settings).announce([FileArrived("sales", "CSV/a.csv", datetime.now(UTC))])


def subscribe(settings: Settings) -> None:
    with closing(Subscription(settings)) as subscription:
        subscription.take(1, 1)


@pytest.mark.parametrize("use", [ensure_topics, announce, subscribe])
def test_every_client_checks_the_broker_and_shows_its_own_certificate(
    use: Callable[[Settings], None], authority: Authority, listener: socket.socket
) -> None:
    certificate, key = authority.signed("sales-loader", password="of the key")
    found = serve(listener, subject_of_the_client(*authority.signed("broker"), authority.file))
    with suppress(TransientError):
        use(
            settings(
                listener,
                kafka_security_protocol="SSL",
                kafka_ssl_ca_location=authority.file,
                kafka_ssl_certificate_location=certificate,
                kafka_ssl_key_location=key,
                kafka_ssl_key_password="of the key",
            )
        )
    assert found.get(timeout=30) == (((("commonName", "sales-loader"),),), True)


def test_a_broker_of_another_authority_is_refused_with_the_reason(
    authority: Authority, listener: socket.socket, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other")
    found = serve(listener, subject_of_the_client(*authority.signed("broker"), authority.file))
    secure = settings(listener, kafka_security_protocol="ssl", kafka_ssl_ca_location=other.file)
    with pytest.raises(TransientError, match=r"certificate verify failed.*Check .*KAFKA_SSL_\*"):
        ensure_topics(secure)
    with structlog.testing.capture_logs() as logged:
        subscribe(secure)
    assert [(each["event"], "certificate verify failed" in each["error"]) for each in logged] == [
        ("broker_trouble", True)
    ]
    with pytest.raises(Empty):
        found.get_nowait()


@pytest.mark.parametrize("use", [ensure_topics, announce, subscribe])
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kafka_ssl_ca_location": __file__}, r"ssl\.ca\.location failed"),
        ({"kafka_ssl_key_password": "wrong"}, r"ssl\.key\.location failed"),
    ],
)
def test_files_that_cannot_be_used_are_an_error_of_the_settings(
    use: Callable[[Settings], None], wrong: dict[str, str], said: str, authority: Authority, listener: socket.socket
) -> None:
    certificate, key = authority.signed("sales-loader", password="of the key")
    given: dict[str, str | Path] = {
        "kafka_security_protocol": "ssl",
        "kafka_ssl_ca_location": authority.file,
        "kafka_ssl_certificate_location": certificate,
        "kafka_ssl_key_location": key,
        "kafka_ssl_key_password": "of the key",
    }
    with pytest.raises(SettingsError, match=said) as caught:
        use(settings(listener, **given | wrong))
    assert "of the key" not in str(caught.value)


def mechanism_and_login(connection: socket.socket) -> object:
    """As much of a broker as a login needs; it refuses every one. Format: https://kafka.apache.org/protocol"""
    mechanism = b""
    with connection.makefile("rb") as stream:
        while size := stream.read(4):
            request = stream.read(*struct.unpack(">i", size))
            api, version, correlation, client = struct.unpack(">hhih", request[:10])
            body = request[10 + client :]
            if api == API_VERSIONS:
                served = ((API_VERSIONS, 0, 0), (SASL_HANDSHAKE, 0, 1), (SASL_AUTHENTICATE, 0, 0))
                response = struct.pack(">hi", UNSUPPORTED_VERSION if version else 0, len(served))
                response += b"".join(struct.pack(">hhh", *each) for each in served)
            elif api == SASL_HANDSHAKE:
                mechanism = body[2:]
                response = struct.pack(">hi", 0, len(MECHANISMS))
                response += b"".join(struct.pack(">h", len(each)) + each.encode() for each in MECHANISMS)
            else:
                said = b"this login is not known"
                response = struct.pack(">hh", LOGIN_FAILED, len(said)) + said + struct.pack(">i", 0)
                connection.sendall(struct.pack(">ii", len(response) + 4, correlation) + response)
                return mechanism, body[4:]
            connection.sendall(struct.pack(">ii", len(response) + 4, correlation) + response)
    raise ConnectionError("closed before the login")


@pytest.mark.parametrize(
    ("mechanism", "login"),
    [("PLAIN", b"\0sales\0hush"), ("SCRAM-SHA-256", b"n,,n=sales,r="), ("SCRAM-SHA-512", b"n,,n=sales,r=")],
)
def test_the_login_reaches_the_broker_and_its_refusal_the_reader(
    mechanism: str, login: bytes, listener: socket.socket
) -> None:
    found = serve(listener, mechanism_and_login)
    secure = settings(
        listener,
        kafka_security_protocol="sasl_plaintext",
        kafka_sasl_mechanism=mechanism,
        kafka_sasl_username="sales",
        kafka_sasl_password="hush",
    )
    with pytest.raises(TransientError, match="this login is not known") as caught:
        ensure_topics(secure)
    assert "hush" not in str(caught.value)
    chosen, sent = found.get(timeout=30)  # type: ignore[misc]
    assert chosen == mechanism.encode()  # type: ignore[has-type]
    assert sent.startswith(login)  # type: ignore[has-type]


class Silent:
    """A broker that tells its topics, and answers nothing from then on."""

    topics: tuple[str, ...] = ()

    def __init__(self, _: object) -> None:
        pass

    def list_topics(self, timeout: float) -> "Silent":
        return self

    def create_topics(self, missing: list[object]) -> dict[object, Future[None]]:
        return {each: Future() for each in missing}


def test_a_broker_that_goes_silent_while_a_topic_is_made_is_trouble_and_no_crash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(broker, "AdminClient", Silent)
    monkeypatch.setattr(broker, "_DELIVERY_SECONDS", 0.1)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        pytest.raises(TransientError, match="made no topic within"),
    ):
        ensure_topics(settings(listener))
