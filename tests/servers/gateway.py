"""versitygw, with the command and the environment that compose gives it: an S3 server that tells Kafka by itself."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from scripts.stack import free_port
from tests.conftest import eventually
from tests.servers import compose, parts

END_SECONDS = 30


@contextmanager
def serving(folder: Path, given: Mapping[str, str], addresses: Mapping[str, str], topic: str) -> Iterator[str]:
    """The address of a server in the folder. `given` are the variables of the `.env` file; its bucket is there."""
    port = free_port()
    volume = compose.filled(compose.SERVICES["s3"]["volumes"][0], given).rpartition(":")[2]
    data = {"/data": str(folder)}
    Path(compose.at(volume, data)).mkdir(parents=True)
    env = compose.environment("s3", given, {**addresses, "sales.files": topic})
    command = [str(parts.versitygw()), *(compose.at(each, data) for each in compose.SERVICES["s3"]["command"])]
    with (
        (folder.parent / "versitygw.log").open("wb") as log,
        subprocess.Popen(
            command, env={**given, **env, "VGW_PORT": f"127.0.0.1:{port}"}, stdout=log, stderr=log
        ) as server,
    ):
        try:
            address = f"http://127.0.0.1:{port}"

            def is_well() -> bool:
                assert server.poll() is None, f"the S3 server has ended: see {log.name}"
                with suppress(URLError):
                    urlopen(f"{address}{env['VGW_HEALTH']}", timeout=2).close()
                    return True
                return False

            eventually("the S3 server", is_well)
            yield address
        finally:
            server.terminate()
            server.wait(END_SECONDS)
