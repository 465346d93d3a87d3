"""Clients of AWS, and of servers that speak its protocols. Only this module uses boto3."""

from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from loader.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sqs.client import SQSClient


def s3_client(settings: Settings) -> "S3Client":
    """A client of the settings' S3 server."""
    config = Config(
        # Servers other than AWS do not know the newer default checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=5,
        read_timeout=60,
    )
    return boto3.client("s3", endpoint_url=settings.s3_endpoint_url, config=config, **_login(settings))


def sqs_client(settings: Settings) -> "SQSClient":
    """A client of SQS that tries once: its callers try again, and look in between whether they should stop."""
    config = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 1})
    return boto3.client("sqs", endpoint_url=settings.sqs_endpoint_url, config=config, **_login(settings))


def _login(settings: Settings) -> dict[str, Any]:
    """Without keys in the settings, boto3's own credential chain applies."""
    secret, token = settings.aws_secret_access_key, settings.aws_session_token
    return {
        "aws_access_key_id": settings.aws_access_key_id,
        "aws_secret_access_key": secret and secret.get_secret_value(),
        "aws_session_token": token and token.get_secret_value(),
        "region_name": settings.aws_default_region,
    }
