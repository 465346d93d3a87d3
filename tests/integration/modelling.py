"""`python -m tests.integration.modelling SOCKET`: models what waits each time it is told to, in one process.

It answers as `run_waiting` does: None when nothing waited, else whether the run was published.
"""

import sys
from contextlib import closing
from multiprocessing.connection import Client
from threading import Event

from loader.settings import Settings
from loader.transform import Project, run_waiting
from loader.warehouse import Warehouse

if __name__ == "__main__":
    settings = Settings.read()
    project = Project(settings.dbt_project_dir)
    with (
        Client(sys.argv[1]) as way,
        closing(Warehouse(settings.database_url.get_secret_value())) as warehouse,
        warehouse.session() as session,
    ):
        while way.recv():
            way.send(run_waiting(session, project, settings, Event(), None))
