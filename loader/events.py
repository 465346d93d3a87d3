"""Message on the topic → the objects that arrived or were removed.

The normal forms are `FileArrived` and `FileRemoved`; a message may announce several objects, or none (a change of tags,
a server's test event).
Every server writes its notifications a little differently. Such a dialect is told by the fields that a message has,
never by a setting, so that several servers may share the topic; docs/event-sources.md has the table.
Format: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args
from urllib.parse import quote_plus, unquote_plus

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, ValidationError

from loader.errors import InvalidEvent

Dialect = Literal["aws", "eventbridge", "minio", "ceph", "versitygw"]

_MAX_ENVELOPES = 2  # SNS inside SQS is the deepest that AWS builds; a message nested further is hostile


@dataclass(frozen=True)
class FileArrived:
    """An object was written. Which version of it is current is asked of S3: a message may be late."""

    bucket: str
    key: str
    event_at: datetime
    dialect: Dialect | None = "aws"  # None: nobody announced it, a person named it


@dataclass(frozen=True)
class FileRemoved:
    """An object, or one version of it, was deleted. Whether the key is really gone is asked of S3."""

    bucket: str
    key: str
    event_at: datetime
    dialect: Dialect = "aws"


def parse(message: bytes) -> list[FileArrived | FileRemoved]:
    """The objects that a message announces as created or removed; other events (tags, test events) give none.

    Raises InvalidEvent for anything that is in no known dialect; one bad record condemns the whole message.
    """
    return _events(message, envelopes=0)


def encode(arrival: FileArrived) -> bytes:
    """The message that AWS would send for this object, for the watcher; for its dialect `parse` is the inverse."""
    return json.dumps(
        {
            "Records": [
                {
                    "eventVersion": "2.1",
                    "eventSource": "aws:s3",
                    "eventTime": arrival.event_at.isoformat(),
                    "eventName": "ObjectCreated:Put",
                    "s3": {
                        "bucket": {"name": arrival.bucket},
                        "object": {"key": quote_plus(arrival.key, safe="/")},
                    },
                }
            ]
        }
    ).encode()


def _events(message: bytes | str, envelopes: int) -> list[FileArrived | FileRemoved]:
    if envelopes > _MAX_ENVELOPES:
        raise InvalidEvent(f"the message is not an S3 notification: more than {_MAX_ENVELOPES} envelopes around it")
    match body := _json(message):
        case {"Event": "s3:TestEvent"} if "Records" not in body:
            return []
        case {"Type": "SubscriptionConfirmation" | "UnsubscribeConfirmation", "TopicArn": str()}:
            return []
        case {"Type": "Notification", "Message": _}:
            return _events(_read(_Sns, body).message, envelopes + 1)
        case {"Records": [{"body": _}, *_]}:
            queued = _read(_Batch, body).records
            return [event for each in queued for event in _events(each.body, envelopes + 1)]
        case {"source": "aws.s3", "detail-type": str(kind)}:
            name = _EVENTBRIDGE_NAMES.get(kind)
            return _normal(_read(_EventBridge, body), name, "eventbridge") if name else []
    events: list[FileArrived | FileRemoved] = []
    for number, written in enumerate(_read(_Notification, body).records):
        where = f"Records.{number}"
        dialect = _dialect(written, where)
        record = _read(_RECORDS[dialect], written, where)
        events += _normal(record, record.event_name.removeprefix("s3:"), dialect)
    return events


_EVENTBRIDGE_NAMES = {"Object Created": "ObjectCreated:", "Object Deleted": "ObjectRemoved:"}


def _normal(record: "_Record[_Object]", name: str, dialect: Dialect) -> list[FileArrived | FileRemoved]:
    if name.startswith("ObjectCreated:"):
        return [FileArrived(record.s3.bucket.name, record.s3.object.key, record.event_time, dialect)]
    if name.startswith("ObjectRemoved:"):
        return [FileRemoved(record.s3.bucket.name, record.s3.object.key, record.event_time, dialect)]
    return []


def _dialect(record: object, where: str) -> Dialect:
    match record:
        case {"eventSource": "minio:s3" | "rustfs:s3"}:
            return "minio"
        case {"eventSource": "ceph:s3"}:
            return "ceph"
        # It says aws:s3 too, but does not encode keys: to decode them would turn "+" into a space.
        case {"eventSource": "aws:s3", "eventName": str(name), "userIdentity": {"PrincipalId": _}} if name[:3] == "s3:":
            return "versitygw"
        case {"eventSource": source} if source != "aws:s3":
            name = repr(source[:100]) if isinstance(source, str) else "what stands there"
            raise _refusal(f"{where}.eventSource", f"{name} is not known")
    return "aws"


def _json(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # bad JSON, bad UTF-8, nested without end
        raise InvalidEvent(f"the message is not JSON: {error}") from error


def _read(shape: type["_Shape"], body: object, where: str = "") -> "_Shape":
    try:
        return shape.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(filter(None, [where, *map(str, first["loc"])])) or "message"
        raise _refusal(place, first["msg"]) from error


def _refusal(place: str, reason: str) -> InvalidEvent:
    known = f"known dialects: {', '.join(get_args(Dialect))}, plain or inside SNS and SQS"
    return InvalidEvent(f"the message is not an S3 notification: {place}: {reason} ({known})")


def _without_nul(key: str) -> str:
    if "\0" in key:
        raise ValueError("a key with a NUL byte cannot be kept in the ledger")
    return key


def _decoded(key: str) -> str:
    return _without_nul(unquote_plus(key))


class _Bucket(BaseModel):
    name: str = Field(pattern=r"^[^\x00]+$")


class _Object(BaseModel):
    key: Annotated[str, Field(min_length=1), AfterValidator(_without_nul)]


class _EncodedObject(_Object):
    key: Annotated[str, Field(min_length=1), AfterValidator(_decoded)]


_Object_co = TypeVar("_Object_co", bound=_Object, covariant=True)


class _S3(BaseModel, Generic[_Object_co]):
    bucket: _Bucket
    object: _Object_co


class _Record(BaseModel, Generic[_Object_co]):
    event_name: str = Field(alias="eventName")
    event_time: AwareDatetime = Field(alias="eventTime")
    s3: _S3[_Object_co]


class _EventBridge(_Record[_Object]):
    event_name: str = Field(alias="detail-type")
    event_time: AwareDatetime = Field(alias="time")
    s3: _S3[_Object] = Field(alias="detail")


class _Notification(BaseModel):
    records: list[Any] = Field(alias="Records")


class _Sns(BaseModel):
    message: str = Field(alias="Message")


class _Queued(BaseModel):
    body: str


class _Batch(BaseModel):
    records: list[_Queued] = Field(alias="Records")


_Shape = TypeVar("_Shape", bound=BaseModel)

_RECORDS: dict[Dialect, type[_Record[_Object]]] = {
    "aws": _Record[_EncodedObject],
    "minio": _Record[_EncodedObject],
    "ceph": _Record[_Object],
    "versitygw": _Record[_Object],
}
