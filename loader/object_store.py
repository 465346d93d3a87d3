"""S3: which objects there are, which version of one is current, and its bytes."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO, cast

from botocore.exceptions import BotoCoreError, ClientError

from loader.aws import s3_client
from loader.errors import InvalidFile, ObjectGone, TransientError
from loader.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import GetObjectRequestTypeDef


_MD5 = re.compile(r"[0-9a-fA-F]{32}")
_BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class ObjectVersion:
    """One version of an object. A bucket without versioning has no `version_id`: then ETag and size identify it."""

    bucket: str
    key: str
    etag: str
    size: int
    modified_at: datetime
    version_id: str | None = None


class ObjectStore:
    """The bucket side of the loader. Every method raises TransientError when S3 does not do its part."""

    def __init__(self, settings: Settings) -> None:
        self._client = s3_client(settings)

    def current(self, bucket: str, key: str) -> ObjectVersion:
        """The version that a read would give now.

        Raises ObjectGone when there is no such object.
        """
        with _s3_errors(bucket, key):
            head = self._client.head_object(Bucket=bucket, Key=key)
        if "ETag" not in head:  # some servers read a key of slashes alone as the bucket
            raise ObjectGone(f"s3://{bucket}/{key} is no object")
        return ObjectVersion(
            bucket, key, head["ETag"].strip('"'), head["ContentLength"], head["LastModified"], _version_id(head)
        )

    @contextmanager
    def open(self, version: ObjectVersion) -> Iterator[BinaryIO]:
        """The bytes of exactly this version.

        Raises ObjectGone when it is no longer there, where the server can tell; `current` afterwards tells for all.
        Raises TransientError when the bytes are not those of the version, before the reader's verdict on them counts:
        half a sheet would load as a whole one, and an error page would be a bad sheet.
        """
        request: GetObjectRequestTypeDef = {"Bucket": version.bucket, "Key": version.key}
        if version.version_id:
            request["VersionId"] = version.version_id
        else:
            request["IfMatch"] = f'"{version.etag}"'
        with _s3_errors(version.bucket, version.key):
            answer = self._client.get_object(**request)
            with closing(answer["Body"]) as body:
                if answer.get("ETag", "").strip('"') != version.etag:
                    raise ObjectGone(f"s3://{version.bucket}/{version.key} was replaced before it was read")
                # https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html: the ETag of these is no MD5.
                encrypted = answer.get("ServerSideEncryption") not in (None, "AES256")
                own_key = "SSECustomerAlgorithm" in answer
                whole = _Whole(cast(BinaryIO, body), version, has_md5=not (encrypted or own_key))
                try:
                    yield cast(BinaryIO, whole)
                except InvalidFile:
                    whole.read_to_end()
                    raise

    def check(self, bucket: str) -> None:
        """Raises TransientError when the bucket cannot be read."""
        with _s3_errors(bucket, ""):
            self._client.list_objects_v2(Bucket=bucket, MaxKeys=1)

    def list(self, bucket: str, prefix: str) -> Iterator[ObjectVersion]:
        """Every object under the prefix, page by page; folder markers (keys that end in `/`) are no objects."""
        with _s3_errors(bucket, prefix):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                for entry in page.get("Contents", []):
                    if not entry["Key"].endswith("/"):
                        etag = entry["ETag"].strip('"')
                        yield ObjectVersion(bucket, entry["Key"], etag, entry["Size"], entry["LastModified"])

    def close(self) -> None:
        self._client.close()

    def create_bucket(self, bucket: str) -> None:
        """Create the bucket where it is missing."""
        with _s3_errors(bucket, ""):
            if bucket not in (each["Name"] for each in self._client.list_buckets()["Buckets"]):
                self._client.create_bucket(Bucket=bucket)

    def put(self, bucket: str, key: str, content: bytes) -> None:
        with _s3_errors(bucket, key):
            self._client.put_object(Bucket=bucket, Key=key, Body=content)

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object. What has been loaded from it stays loaded. Raises TransientError."""
        with _s3_errors(bucket, key):
            self._client.delete_object(Bucket=bucket, Key=key)

    def upload(self, bucket: str, key: str, stream: BinaryIO) -> None:
        """Put an object of any size, in parts."""
        with _s3_errors(bucket, key):
            self._client.upload_fileobj(stream, bucket, key)


class _Whole:
    """The bytes of a version, with a check at their end that they are complete and belong to it."""

    def __init__(self, body: BinaryIO, version: ObjectVersion, has_md5: bool) -> None:
        self._body = body
        self._version = version
        self._bytes = 0
        # The ETag of an upload in one part; that of several has the number of parts behind a hyphen.
        self._md5 = hashlib.md5(usedforsecurity=False) if has_md5 and _MD5.fullmatch(version.etag) else None

    def read(self, size: int) -> bytes:
        """Raises TransientError at the end of bytes that are not those of the version."""
        block = self._body.read(size)
        self._bytes += len(block)
        if self._md5:
            self._md5.update(block)
        if not block and size:
            self._check()
        return block

    def read_to_end(self) -> None:
        while self.read(_BLOCK_BYTES):
            pass

    def _check(self) -> None:
        version = self._version
        where = f"s3://{version.bucket}/{version.key}"
        if self._bytes != version.size:
            raise TransientError(f"S3 sent {self._bytes:,} bytes of {where}, which has {version.size:,}")
        if self._md5 and (found := self._md5.hexdigest()) != version.etag.lower():
            raise TransientError(
                f"S3 sent {self._bytes:,} bytes of {where}, which is the right size, but their MD5 is {found} and the "
                f"ETag is {version.etag}: check whether a proxy changes them, and else whether the server's ETag is an "
                "MD5: compare it with `md5sum` of the file that was uploaded"
            )


def _version_id(head: object) -> str | None:
    """A bucket without versioning answers with no version id, or with the literal `null`."""
    version_id = cast(dict[str, str], head).get("VersionId")
    return None if version_id in (None, "null") else version_id


@contextmanager
def _s3_errors(bucket: str, key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if status in (404, 412):
            raise ObjectGone(f"s3://{bucket}/{key} is gone or has changed: {error}") from error
        raise TransientError(
            f"S3 refused s3://{bucket}/{key}: {error}. Check S3_ENDPOINT_URL, S3_BUCKET and the AWS_* settings"
        ) from error
    except BotoCoreError as error:
        raise TransientError(f"S3 did not answer for s3://{bucket}/{key}: {error}") from error
