"""Where the lake is: a folder, or a prefix on the S3 server of the loader's settings, which Spark reaches as s3a."""

from pyspark.sql import SparkSession

from loader.object_store import ObjectStore
from loader.settings import Settings


def reach(spark: SparkSession, settings: Settings, to: str) -> str:
    """The lake's URL for this session. For one on S3, the session gets server and login of the settings.

    They go into the running session, not into the command of its Java process, which everybody can read. Without a
    login in the settings, Hadoop looks for one in its own places: environment, container, machine.
    """
    if not _on_s3(to):
        return to
    secret, token = settings.aws_secret_access_key, settings.aws_session_token
    given = {
        "endpoint": settings.s3_endpoint_url,
        "endpoint.region": settings.aws_default_region,
        "path.style.access": "true" if settings.s3_endpoint_url else None,
        "access.key": settings.aws_access_key_id,
        "secret.key": secret and secret.get_secret_value(),
        "session.token": token and token.get_secret_value(),
    }
    for name, value in given.items():
        if value:
            spark.conf.set(f"fs.s3a.{name}", value)
    return "s3a://" + to.partition("://")[2]


def prepare(store: ObjectStore, to: str) -> None:
    """Make a folder of Delta's where it needs one to be; raises TransientError where the bucket cannot be written.

    Delta asks for an object `_staged_commits/` in its stead. A server that keeps objects as files, such as the local
    stack's, makes a file of that one.
    """
    if _on_s3(to):
        bucket, _, prefix = to.partition("://")[2].partition("/")
        store.put(bucket, f"{prefix.rstrip('/')}/_delta_log/_staged_commits/.kept".lstrip("/"), b"")


def _on_s3(to: str) -> bool:
    return to.startswith(("s3://", "s3a://"))
