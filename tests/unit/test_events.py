"""A message on the topic says which objects were created, whoever sent it; what says nothing readable is refused."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.errors import InvalidEvent
from loader.events import FileArrived, encode, parse

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
        FileArrived("sales", "CSV/a.csv", WRITTEN_AT, "d41d8cd9", 1024, "096fKK"),
        FileArrived("sales", "CSV/b.csv", WRITTEN_AT, "9b2cf5-12", 5),
    ]


def test_a_record_needs_no_size_etag_or_version() -> None:
    assert parse(message(record("CSV/a.csv"))) == [FileArrived("sales", "CSV/a.csv", WRITTEN_AT)]
    empty = record("CSV/a.csv", size=None, eTag=None, versionId=None)
    assert parse(message(empty)) == [FileArrived("sales", "CSV/a.csv", WRITTEN_AT)]


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
    others = ("ObjectRemoved:Delete", "s3:ObjectRemoved:DeleteMarkerCreated", "ObjectTagging:Put", "ObjectCreatedLike")
    ignored = [record("CSV/gone.csv", name) for name in others]
    arrivals = parse(message(*ignored, record("CSV/a.csv", "ObjectCreated:Copy")))
    assert [arrival.key for arrival in arrivals] == ["CSV/a.csv"]


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
        (lambda body: body["s3"]["object"].update(size="large"), "Records.0.s3.object.size"),
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
        etag=st.none() | st.text("0123456789abcdef-", min_size=1),
        size=st.none() | st.integers(0, 5 * 1024**4),
        version_id=st.none() | st.text("0123456789abcXYZ._-", min_size=1),
    )
)
def test_what_the_watcher_announces_is_what_the_loader_reads(arrival: FileArrived) -> None:
    assert parse(encode(arrival)) == [arrival]
