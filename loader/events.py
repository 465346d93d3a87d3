"""Message on the topic → the objects that arrived.

The normal form is `FileArrived`; a message may announce several objects, or none (S3's test event).
Format: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from urllib.parse import quote_plus, unquote_plus

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, ValidationError

from loader.errors import InvalidEvent


@dataclass(frozen=True)
class FileArrived:
    """An object was written. Only bucket and key are relied on: the object's current identity is read from S3."""

    bucket: str
    key: str
    event_at: datetime
    etag: str | None = None
    size: int | None = None
    version_id: str | None = None


class _Bucket(BaseModel):
    name: str = Field(pattern=r"^[^\x00]+$")


def _decoded(key: str) -> str:
    key = unquote_plus(key)
    if "\0" in key:
        raise ValueError("a key with a NUL byte cannot be kept in the ledger")
    return key


class _Object(BaseModel):
    key: Annotated[str, Field(min_length=1), AfterValidator(_decoded)]
    size: int | None = None
    etag: str | None = Field(default=None, alias="eTag")
    version_id: str | None = Field(default=None, alias="versionId")


class _S3(BaseModel):
    bucket: _Bucket
    object: _Object


class _Record(BaseModel):
    event_name: str = Field(alias="eventName")
    event_time: AwareDatetime = Field(alias="eventTime")
    s3: _S3


class _Notification(BaseModel):
    records: list[_Record] = Field(alias="Records")


def parse(message: bytes) -> list[FileArrived]:
    """The objects that a message announces as created; other events (deletes, tags, the test event) give none.

    Raises InvalidEvent for anything that is not an S3 notification.
    """
    try:
        body = json.loads(message)
    except (ValueError, RecursionError) as error:  # bad JSON, bad UTF-8, nested without end
        raise InvalidEvent(f"the message is not JSON: {error}") from error
    if isinstance(body, dict) and body.get("Event") == "s3:TestEvent" and "Records" not in body:
        return []
    try:
        records = _Notification.model_validate(body).records
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "message"
        raise InvalidEvent(f"the message is not an S3 notification: {where}: {first['msg']}") from error
    return [
        FileArrived(
            bucket=record.s3.bucket.name,
            key=record.s3.object.key,
            event_at=record.event_time,
            etag=record.s3.object.etag,
            size=record.s3.object.size,
            version_id=record.s3.object.version_id,
        )
        for record in records
        if record.event_name.removeprefix("s3:").startswith("ObjectCreated:")
    ]


def encode(arrival: FileArrived) -> bytes:
    """The message that AWS would send for this object, for the watcher; `parse` is its inverse."""
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
                        "object": {
                            "key": quote_plus(arrival.key, safe="/"),
                            "size": arrival.size,
                            "eTag": arrival.etag,
                            "versionId": arrival.version_id,
                        },
                    },
                }
            ]
        }
    ).encode()
