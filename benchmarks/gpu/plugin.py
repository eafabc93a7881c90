"""A pytest plugin: one line of JSON for each test as soon as it has ended, in the file that ``CGM_CHECKS`` names."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

PLACE = "CGM_CHECKS"


class Lines:
    """In the process that hears of every test; one of xdist's workers knows its own alone."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called with each phase of a test; the last one, or the first that says something else than 'passed', counts."""
        if not (report.when == "call" or (report.when == "setup" and report.outcome != "passed")):
            return
        message = report.longreprtext if report.outcome == "failed" else report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        line = {"test": report.nodeid, "outcome": report.outcome, "seconds": round(report.duration, 2), "message": message[-2000:]}
        with Path(os.environ[PLACE]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    if PLACE in os.environ and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Lines())
