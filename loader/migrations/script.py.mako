"""${message}"""

from loader.migrations import execute_script_beside

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    execute_script_beside(__file__)
