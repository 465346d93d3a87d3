"""A message on the topic says which objects were created or removed, whoever sent it; the unreadable is refused."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.errors import InvalidEvent
from loader.events import Dialect, FileArrived, FileRemoved, encode, parse

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures/events"
WRITTEN_AT = datetime(2026, 3, 14, 9, 26, 53, 589000, UTC)


def record(key: str, event_name: str = "ObjectCreated:Put", **about_object: Any) -> dict[str, Any]:
    """A record as S3 writes it, with the fields that the loader has no use for."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "eu-central-1",
        "eventTime": "2026-03-14T09:26:53.589Z",
        "eventName": event_name,
        "userIdentity": {"principalId": "AWS:AIDAEXAMPLE"},
        "requestParameters": {"sourceIPAddress": "192.0.2.7"},
        "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "arrivals",
            "bucket": {"name": "sales", "ownerIdentity": {"principalId": "A3EXAMPLE"}, "arn": "arn:aws:s3:::sales"},
            "object": {"key": key, **about_object},
        },
    }


def message(*records: dict[str, Any]) -> bytes:
    return json.dumps({"Records": list(records)}).encode()


def test_every_record_of_a_notification_is_an_arrival_in_order() -> None:
    first = record("CSV/a.csv", size=1024, eTag="d41d8cd9", versionId="096fKK", sequencer="0A1B2C")
    second = record("CSV/b.csv", "ObjectCreated:CompleteMultipartUpload", size=5, eTag="9b2cf5-12")
    assert parse(message(first, second)) == [
        FileArrived("sales", "CSV/a.csv", WRITTEN_AT),
        FileArrived("sales", "CSV/b.csv", WRITTEN_AT),
    ]


@pytest.mark.parametrize("about", [{}, {"size": None, "eTag": None, "versionId": None}, {"size": "large"}])
def test_what_a_record_says_of_the_version_does_not_matter(about: dict[str, Any]) -> None:
    assert parse(message(record("CSV/a.csv", **about))) == [FileArrived("sales", "CSV/a.csv", WRITTEN_AT)]


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.5", "3.0"])
def test_the_event_version_is_not_relied_on(version: str) -> None:
    assert len(parse(message(record("CSV/a.csv") | {"eventVersion": version}))) == 1


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("CSV/sales+data+1%2C2.csv", "CSV/sales data 1,2.csv"),
        ("CSV/a%2Bb.csv", "CSV/a+b.csv"),
        ("CSV%2Fminio.csv", "CSV/minio.csv"),
        ("CSV/100%25.csv", "CSV/100%.csv"),
        ("CSV/a%252Bb.csv", "CSV/a%2Bb.csv"),
        ("CSV/%E5%A3%B2%E4%B8%8A.csv", "CSV/売上.csv"),
    ],
)
def test_a_key_is_form_decoded_exactly_once(written: str, key: str) -> None:
    assert [arrival.key for arrival in parse(message(record(written)))] == [key]


def test_the_name_may_carry_the_prefix_that_other_servers_give_it() -> None:
    minio = {"EventName": "s3:ObjectCreated:Put", "Key": "sales/CSV/a.csv"}
    body = minio | {"Records": [record("CSV%2Fa.csv", "s3:ObjectCreated:Put")]}
    assert [arrival.key for arrival in parse(json.dumps(body).encode())] == ["CSV/a.csv"]


def test_only_created_objects_arrive() -> None:
    others = ("ObjectTagging:Put", "s3:ObjectAcl:Put", "LifecycleTransition", "ObjectCreatedLike", "ObjectRemovedLike")
    ignored = [record("CSV/other.csv", name) for name in others]
    arrivals = parse(message(*ignored, record("CSV/a.csv", "ObjectCreated:Copy")))
    assert [arrival.key for arrival in arrivals] == ["CSV/a.csv"]


@pytest.mark.parametrize("name", ["Delete", "DeleteMarkerCreated", "DeleteObjects"])
@pytest.mark.parametrize("prefix", ["", "s3:"])
def test_a_delete_of_any_kind_is_a_removal(prefix: str, name: str) -> None:
    removed = message(record("CSV/a+b.csv", f"{prefix}ObjectRemoved:{name}"))
    assert parse(removed) == [FileRemoved("sales", "CSV/a b.csv", WRITTEN_AT)]


def test_the_test_event_announces_nothing() -> None:
    event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-03-14T09:26:53.589Z", "Bucket": "sales"}
    assert parse(json.dumps(event).encode()) == []


def test_a_notification_without_records_announces_nothing() -> None:
    assert parse(message()) == []


def without(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(body: dict[str, Any]) -> None:
        *parents, last = path
        for name in parents:
            body = body[name]
        del body[last]

    return change


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (without("eventName"), "Records.0.eventName"),
        (without("eventTime"), "Records.0.eventTime"),
        (without("s3"), "Records.0.s3"),
        (without("s3", "bucket"), "Records.0.s3.bucket"),
        (without("s3", "object", "key"), "Records.0.s3.object.key"),
        (lambda body: body.update(eventTime="2026-03-14T09:26:53"), "Records.0.eventTime"),  # of which time zone?
        (lambda body: body["s3"]["object"].update(key=""), "Records.0.s3.object.key"),
        (lambda body: body["s3"]["object"].update(key="a%00b"), "Records.0.s3.object.key"),
        (lambda body: body["s3"]["object"].update(key="\ud800"), "Records.0.s3.object.key"),
        (lambda body: body["s3"]["bucket"].update(name=""), "Records.0.s3.bucket.name"),
        (lambda body: body["s3"]["bucket"].update(name="sa\0les"), "Records.0.s3.bucket.name"),
    ],
)
def test_an_incomplete_record_is_refused_and_the_place_is_named(
    change: Callable[[dict[str, Any]], None], where: str
) -> None:
    body = record("CSV/a.csv")
    change(body)
    with pytest.raises(InvalidEvent, match=rf"^the message is not an S3 notification: {where}: ."):
        parse(message(body))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b'"s3:TestEvent"',
        b"{}",
        b"{",
        b"CSV/a.csv",
        b"\xff\xfe",
        b'{"Records": {}}',
        b'{"Records": [1]}',
        b"[" * 100_000,
        b"9" * 10_000,
    ],
    ids=lambda content: repr(content[:20]),
)
def test_what_is_no_notification_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidEvent, match=r"^the message is not "):
        parse(content)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
NAMES = st.sampled_from(["Records", "eventName", "eventTime", "s3", "bucket", "object", "name", "key"])


@given(
    st.recursive(SCALARS, lambda inner: st.lists(inner, min_size=1) | st.dictionaries(NAMES, inner), max_leaves=20),
)
def test_whatever_stands_in_place_of_the_records_is_refused(value: object) -> None:
    with pytest.raises(InvalidEvent, match=r"^the message is not an S3 notification: Records"):
        parse(json.dumps({"Records": value}).encode())


ODD_KEYS = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
    st.lists(
        st.sampled_from(["..", "/", "+", "%", "%2B", " ", "é", "売", "a", "?", "#", "&", '"', "\n"]), min_size=1
    ).map("".join),
)
ZONES = st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(
    st.builds(
        FileArrived,
        bucket=st.from_regex(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", fullmatch=True),
        key=ODD_KEYS,
        event_at=st.datetimes(timezones=ZONES),
    )
)
def test_what_the_watcher_announces_is_what_the_loader_reads(arrival: FileArrived) -> None:
    assert parse(encode(arrival)) == [arrival]


KEY = "CSV/März 100% + 売上.csv"
SECOND = WRITTEN_AT.replace(microsecond=0)
FROM_AWS = FileArrived("orchard-sales", KEY, WRITTEN_AT, "aws")
FROM_EVENTBRIDGE = FileArrived("orchard-sales", KEY, SECOND, "eventbridge")
GOLDEN: dict[str, list[FileArrived | FileRemoved]] = {
    "aws": [
        FROM_AWS,
        FileRemoved("orchard-sales", "CSV/gone.csv", WRITTEN_AT),
        FileArrived("orchard-sales", "CSV/b%2Bc.csv", WRITTEN_AT),
    ],
    "aws_removed": [
        FileRemoved("orchard-sales", KEY, WRITTEN_AT),
        FileRemoved("orchard-sales", "CSV/marked.csv", WRITTEN_AT),
    ],
    "aws_test_event": [],
    "ceph": [FileArrived("orchard-sales", KEY, WRITTEN_AT, "ceph")],
    "ceph_removed": [FileRemoved("orchard-sales", KEY, WRITTEN_AT, "ceph")],
    "eventbridge": [FROM_EVENTBRIDGE],
    "eventbridge_removed": [FileRemoved("orchard-sales", KEY, SECOND, "eventbridge")],
    "minio": [
        FileArrived("orchard-sales", KEY, WRITTEN_AT, "minio"),
        FileArrived("orchard-sales", "CSV/empty.csv", WRITTEN_AT, "minio"),
    ],
    "minio_removed": [FileRemoved("orchard-sales", KEY, WRITTEN_AT, "minio")],
    "rustfs": [FileArrived("orchard-sales", KEY, WRITTEN_AT, "minio")],
    "sns": [FROM_AWS],
    "sns_in_sqs": [FROM_AWS],
    "sqs": [FROM_AWS, FROM_EVENTBRIDGE],
    "versitygw": [FileArrived("orchard-sales", KEY, SECOND, "versitygw")],
    "versitygw_removed": [FileRemoved("orchard-sales", KEY, SECOND, "versitygw")],
    "versitygw_test_event": [],
}


def fixture(name: str) -> Any:
    return json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))


def read(body: object) -> list[FileArrived | FileRemoved]:
    return parse(json.dumps(body).encode())


def sns(body: object) -> dict[str, Any]:
    return {"Type": "Notification", "Message": json.dumps(body)}


def sqs(*bodies: object) -> dict[str, Any]:
    return {"Records": [{"eventSource": "aws:sqs", "body": json.dumps(body)} for body in bodies]}


@pytest.mark.parametrize("name", sorted(path.stem for path in FIXTURES.glob("*.json")))
def test_every_dialect_has_one_normal_form(name: str) -> None:
    assert parse((FIXTURES / f"{name}.json").read_bytes()) == GOLDEN[name]


def test_every_dialect_has_a_golden_message() -> None:
    for kind in (FileArrived, FileRemoved):
        dialects = {event.dialect for events in GOLDEN.values() for event in events if isinstance(event, kind)}
        assert dialects == set(get_args(Dialect))
    assert {path.stem for path in FIXTURES.glob("*.json")} == set(GOLDEN)


@pytest.mark.parametrize("name", ["aws", "ceph", "minio", "rustfs", "versitygw"])
@pytest.mark.parametrize("event", ["ObjectTagging:Put", "s3:ObjectAcl:Put"])
def test_other_events_announce_nothing_in_any_dialect(name: str, event: str) -> None:
    body = fixture(name)
    body["Records"] = [each | {"eventName": event} for each in body["Records"]]
    assert read(body) == []
    assert read(sqs(sns(body))) == []


@pytest.mark.parametrize("kind", ["Object Tags Added", "Object Access Tier Changed"])
def test_other_events_of_eventbridge_announce_nothing(kind: str) -> None:
    assert read(fixture("eventbridge") | {"detail-type": kind}) == []


def test_a_subscription_to_confirm_announces_nothing() -> None:
    topic = "arn:aws:sns:eu-central-1:123456789012:arrivals"
    assert read({"Type": "SubscriptionConfirmation", "TopicArn": topic, "Message": "You have chosen …"}) == []


def test_messages_of_a_batch_may_be_of_different_dialects() -> None:
    names = ["aws", "aws_test_event", "ceph", "versitygw", "minio", "sns", "eventbridge"]
    expected = [arrival for name in names for arrival in GOLDEN[name]]
    assert read(sqs(*map(fixture, names))) == expected


@pytest.mark.parametrize("wrap", [sns, sqs])
def test_envelopes_nested_deeper_than_any_server_does_are_refused(wrap: Callable[[object], dict[str, Any]]) -> None:
    body = wrap(wrap(fixture("aws")))
    assert read(body) == GOLDEN["aws"]
    for _ in range(5):
        body = wrap(body)
        with pytest.raises(InvalidEvent, match=r"more than 2 envelopes"):
            read(body)


@pytest.mark.parametrize(
    "body",
    [
        {"EventName": "s3:ObjectCreated:Put", "Key": "sales/CSV/a.csv"},
        {"Records": [record("CSV/a.csv") | {"eventSource": "acme:s3"}]},
        {"Records": [record("CSV/a.csv") | {"eventSource": ["aws:s3"]}]},
        {"Records": [record("CSV/a.csv") | {"eventSource": None}]},
        {"Records": [{"body": "{}"}, record("CSV/a.csv")]},
        {"Records": [{"body": {}}]},
        {"Type": "Notification", "Message": {"Records": []}},
        {"Type": "Notification", "Message": "{}"},
        {"source": "aws.s3", "detail": {}},
        {"source": "aws.s3", "detail-type": "Object Created", "time": "2026-03-14T09:26:53Z", "detail": {}},
        {"source": "aws.ec2", "detail-type": "EC2 Instance State-change Notification", "detail": {}},
    ],
    ids=repr,
)
def test_an_unknown_dialect_is_refused_and_the_known_ones_are_named(body: object) -> None:
    with pytest.raises(
        InvalidEvent, match=r"known dialects: aws, eventbridge, minio, ceph, versitygw, plain or inside"
    ):
        read(body)


@pytest.mark.parametrize("envelope", [{"Type": "Notification", "Message": "ping"}, {"Records": [{"body": "ping"}]}])
def test_an_envelope_around_plain_text_is_refused(envelope: object) -> None:
    with pytest.raises(InvalidEvent, match=r"^the message is not JSON"):
        read(envelope)


WRITTEN: dict[str, Callable[[str], str]] = {
    "aws": lambda key: quote_plus(key, safe="/"),
    "minio": quote_plus,
    "rustfs": quote_plus,
    "ceph": str,
    "versitygw": str,
}


@given(ODD_KEYS)
def test_a_key_survives_the_encoding_of_every_dialect(key: str) -> None:
    bodies = [fixture("eventbridge")]
    bodies[0]["detail"]["object"]["key"] = key
    for name, write in WRITTEN.items():
        body = fixture(name)
        body["Records"][0]["s3"]["object"]["key"] = write(key)
        bodies.append(body | {"Records": body["Records"][:1]})
    for body in bodies:
        assert [arrival.key for arrival in read(body)] == [key]
        assert [arrival.key for arrival in read(sqs(sns(body)))] == [key]
