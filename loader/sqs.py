"""SQS: the queue that AWS S3 notifies. A message is delivered again and again until it is deleted."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from loader.aws import sqs_client
from loader.errors import TransientError
from loader.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import DeleteMessageBatchRequestEntryTypeDef

log = structlog.get_logger()

# A message ends the wait, so a longer one (20 at most) would not be faster; it would only delay a stop.
_WAIT_SECONDS = 3
_AT_ONCE = 10  # as many as SQS gives


@dataclass(frozen=True)
class Queued:
    """A message in the queue; `receipt` is for deleting it, and holds for this delivery of it."""

    body: str
    receipt: str


class Queue:
    """The queue at `url`. Every method raises TransientError when SQS does not do its part."""

    def __init__(self, settings: Settings, url: str) -> None:
        self._client = sqs_client(settings)
        self._url = url

    def receive(self) -> list[Queued]:
        """Up to ten messages, or none after some seconds. Others do not see them for the queue's visibility timeout."""
        with self._errors():
            answer = self._client.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=_AT_ONCE, WaitTimeSeconds=_WAIT_SECONDS
            )
        return [Queued(each["Body"], each["ReceiptHandle"]) for each in answer.get("Messages", [])]

    def delete(self, messages: list[Queued]) -> None:
        """Delete up to ten. One that SQS keeps, because its receipt is too old, is logged, and will be seen again."""
        entries: list[DeleteMessageBatchRequestEntryTypeDef] = [
            {"Id": str(number), "ReceiptHandle": each.receipt} for number, each in enumerate(messages)
        ]
        with self._errors():
            kept = self._client.delete_message_batch(QueueUrl=self._url, Entries=entries).get("Failed", [])
        if kept:
            reason = f"{kept[0]['Code']}: {kept[0].get('Message', '')}"
            log.warning("messages_not_deleted", messages=len(kept), error=reason)

    def close(self) -> None:
        self._client.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise TransientError(
                f"SQS refused {self._url}: {error}. Check SQS_QUEUE_URL, SQS_ENDPOINT_URL and the AWS_* settings"
            ) from error
        except BotoCoreError as error:
            raise TransientError(f"SQS did not answer for {self._url}: {error}") from error
