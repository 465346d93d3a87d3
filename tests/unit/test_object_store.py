"""What S3 sends is held against what it said of the object."""

from datetime import UTC, datetime
from hashlib import md5
from io import BytesIO

import pytest

from loader.errors import TransientError
from loader.object_store import ObjectVersion, _Whole

SENT = b"a sheet"


def test_an_etag_that_is_not_the_md5_of_the_right_number_of_bytes_says_so_and_what_to_check() -> None:
    version = ObjectVersion("bucket", "key.csv", "ab" * 16, len(SENT), datetime.now(UTC))
    with pytest.raises(TransientError) as raised:
        _Whole(BytesIO(SENT), version, has_md5=True).read_to_end()
    assert str(raised.value) == (
        f"S3 sent 7 bytes of s3://bucket/key.csv, which is the right size, but their MD5 is {md5(SENT).hexdigest()} and"
        f" the ETag is {version.etag}: check whether a proxy changes them, and else whether the server's ETag is an MD5"
        ": compare it with `md5sum` of the file that was uploaded"
    )
