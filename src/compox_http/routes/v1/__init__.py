"""The routes of `/api/v1`: for clients that are written today."""

from compox_http.routes.v1 import algorithms, events, executions, files, trainings

__all__ = ["algorithms", "events", "executions", "files", "trainings"]
