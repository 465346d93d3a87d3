"""sqlfluff on dbt_sales/, in a throwaway PostgreSQL: its dbt templater compiles the models against a database."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from loader.warehouse import migrate
from scripts.stack import REPOSITORY, throwaway


def main() -> int:
    """Returns sqlfluff's exit code."""
    with tempfile.TemporaryDirectory() as folder, throwaway(Path(folder)) as stack:
        env = stack.env()
        migrate(env["ADMIN_DATABASE_URL"])
        sqlfluff = [sys.executable, "-m", "sqlfluff", "lint", "--nocolor", "."]
        return subprocess.run(sqlfluff, cwd=REPOSITORY / "dbt_sales", env=os.environ | env, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
