"""A process that reaches an armed step is stopped there, whichever of its threads does the work."""

import os
import select
import signal
import subprocess
import sys

from scripts.stack import REPOSITORY

PROGRAM = """
import signal
from concurrent.futures import ThreadPoolExecutor
from loader import failpoints

def work():
    failpoints.reach("finished")
    print("went on", flush=True)

failpoints.armed, failpoints.sent = {"finished"}, signal.SIGSTOP
with ThreadPoolExecutor(max_workers=1) as executor:
    executor.submit(work).result()
"""


def test_a_thread_that_is_stopped_does_nothing_more_until_it_is_woken() -> None:
    for _ in range(10):  # a signal for the process stopped it in time now and then
        with subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=REPOSITORY, stdout=subprocess.PIPE) as process:
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            early, _, _ = select.select([process.stdout], [], [], 0)
            process.send_signal(signal.SIGCONT)
            assert process.communicate(timeout=60)[0] == b"went on\n"
        assert os.WIFSTOPPED(status)
        assert early == []
