"""The environment is read once, completely, and no secret shows."""

import os
from pathlib import Path

import pytest

from loader.errors import SettingsError
from loader.settings import Settings

REQUIRED = {
    "DATABASE_URL": "postgresql://loader:hush-database@db:5432/sales",
    "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
    "S3_BUCKET": "sales",
}
SECRETS = {
    "DATABASE_URL": "postgresql://loader:hush-database@db:5432/sales",
    "ADMIN_DATABASE_URL": "postgresql://postgres:hush-admin@db:5432/sales",
    "AWS_SECRET_ACCESS_KEY": "hush-s3",
    "AWS_SESSION_TOKEN": "hush-session",
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "PLAIN",
    "KAFKA_SASL_USERNAME": "sales",
    "KAFKA_SASL_PASSWORD": "hush-kafka",
    "KAFKA_SSL_CERTIFICATE_LOCATION": __file__,
    "KAFKA_SSL_KEY_LOCATION": __file__,
    "KAFKA_SSL_KEY_PASSWORD": "hush-key",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a setting requires, whatever the shell that runs the tests has."""
    for variable in {*os.environ} & {name.upper() for name in Settings.model_fields}:
        monkeypatch.delenv(variable)
    for variable, value in REQUIRED.items():
        monkeypatch.setenv(variable, value)


def test_what_has_no_default_is_required_and_nothing_else() -> None:
    required = {name.upper() for name, field in Settings.model_fields.items() if field.is_required()}
    assert required == REQUIRED.keys()
    settings = Settings.read()
    assert settings.database_url.get_secret_value() == REQUIRED["DATABASE_URL"]
    assert (settings.kafka_bootstrap_servers, settings.s3_bucket) == ("kafka:9092", "sales")


@pytest.mark.parametrize("missing", REQUIRED)
def test_a_missing_variable_is_named_in_one_line(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(missing)
    with pytest.raises(SettingsError) as caught:
        Settings.read()
    assert f"{missing}: Field required" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_missing_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in REQUIRED:
        monkeypatch.delenv(variable)
    with pytest.raises(SettingsError) as caught:
        Settings.read()
    assert [name for name in REQUIRED if f"{name}: Field required" not in str(caught.value)] == []
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KAFKA_PARTITIONS", "0"),
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "mysql://loader:secret@localhost/sales"),
        ("S3_BUCKET", ""),
        ("S3_BUCKET", "A B"),
        ("S3_ENDPOINT_URL", "localhost:9000"),
        ("SQS_QUEUE_URL", "sales-files"),
        ("SQS_ENDPOINT_URL", "localhost:5000"),
        ("AWS_DEFAULT_REGION", "bad_region!"),
        ("KAFKA_TOPIC", "a/b c"),
        ("KAFKA_SESSION_TIMEOUT_MS", "99999999"),
        ("KAFKA_SESSION_TIMEOUT_MS", "soon"),
        ("KAFKA_SECURITY_PROTOCOL", "tls"),
        ("KAFKA_SASL_MECHANISM", "GSSAPI"),
        ("KAFKA_SSL_CA_LOCATION", "/no/such/file.pem"),
        ("MAX_ATTEMPTS", "-1"),
        ("RETRY_SECONDS", "0"),
        ("RETRY_MAX_SECONDS", "five"),
        ("WATCH_SECONDS", "-0.5"),
        ("METRICS_PORT", "0"),
        ("METRICS_PORT", "65536"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        Settings.read()
    assert str(caught.value).startswith(f"settings: {variable}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"SECURITY_PROTOCOL": "sasl_ssl"}, "KAFKA_SASL_USERNAME: required with KAFKA_SECURITY_PROTOCOL=sasl_ssl"),
        (
            {"SECURITY_PROTOCOL": "SASL_PLAINTEXT", "SASL_MECHANISM": "PLAIN", "SASL_USERNAME": "sales"},
            "settings: KAFKA_SASL_PASSWORD: required with KAFKA_SECURITY_PROTOCOL=sasl_plaintext. ",
        ),
        ({"SASL_USERNAME": "sales"}, "KAFKA_SASL_USERNAME: has no effect with KAFKA_SECURITY_PROTOCOL=plaintext"),
        (
            {"SECURITY_PROTOCOL": "ssl", "SASL_PASSWORD": "hush"},
            "KAFKA_SASL_PASSWORD: has no effect with KAFKA_SECURITY_PROTOCOL=ssl",
        ),
        ({"SSL_CA_LOCATION": __file__}, "KAFKA_SSL_CA_LOCATION: has no effect with KAFKA_SECURITY_PROTOCOL=plaintext"),
        (
            {"SECURITY_PROTOCOL": "ssl", "SSL_CERTIFICATE_LOCATION": __file__},
            "settings: KAFKA_SSL_KEY_LOCATION: required with KAFKA_SSL_CERTIFICATE_LOCATION. ",
        ),
        (
            {"SECURITY_PROTOCOL": "ssl", "SSL_KEY_LOCATION": __file__},
            "settings: KAFKA_SSL_CERTIFICATE_LOCATION: required with KAFKA_SSL_KEY_LOCATION. ",
        ),
        (
            {"SECURITY_PROTOCOL": "ssl", "SSL_KEY_PASSWORD": "hush"},
            "KAFKA_SSL_KEY_LOCATION: required with KAFKA_SSL_KEY_PASSWORD",
        ),
    ],
)
def test_kafka_security_that_does_not_fit_together_is_refused(
    given: dict[str, str], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(f"KAFKA_{name}", value)
    with pytest.raises(SettingsError) as caught:
        Settings.read()
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hush" not in str(caught.value)


def test_values_are_read_as_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEEDS_DIR", "/feeds")
    monkeypatch.setenv("WATCH_SECONDS", "0.25")
    monkeypatch.setenv("LOG_FORMAT", "json")
    settings = Settings.read()
    assert (settings.feeds_dir, settings.watch_seconds, settings.log_format) == (Path("/feeds"), 0.25, "json")


def test_a_secret_never_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in SECRETS.items():
        monkeypatch.setenv(variable, value)
    settings = Settings.read()
    assert settings.aws_secret_access_key is not None
    assert settings.aws_secret_access_key.get_secret_value() == "hush-s3"
    assert "hush" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_a_secret_does_not_show_where_another_variable_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in SECRETS.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("MAX_ATTEMPTS", "many")
    monkeypatch.delenv("S3_BUCKET")
    with pytest.raises(SettingsError) as caught:
        Settings.read()
    assert "MAX_ATTEMPTS" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.read().s3_bucket = "elsewhere"  # type: ignore[misc]


def test_a_setting_that_the_protocol_of_the_group_leaves_to_the_broker_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAFKA_GROUP_PROTOCOL", "Consumer")
    assert Settings.read().kafka_group_protocol == "consumer"
    monkeypatch.setenv("KAFKA_SESSION_TIMEOUT_MS", "6000")
    with pytest.raises(SettingsError, match="KAFKA_SESSION_TIMEOUT_MS: has no effect with KAFKA_GROUP_PROTOCOL"):
        Settings.read()
