"""``cgm follow``: MLflow shows trainings as they go."""

from __future__ import annotations

import argparse
from typing import Any

from cgm.core.errors import UserError

FASTEST = 0.5


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("follow", help="keep MLflow in line with the files, also of trainings that go on; `make ui` does it too")
    parser.add_argument("--seconds", type=float, default=3.0, help="between two looks (default: 3)")


def main(arguments: argparse.Namespace) -> None:
    """Raises :class:`UserError` for a mistake in ``params.yaml``."""
    if not arguments.seconds >= FASTEST:
        raise UserError(f"--seconds {arguments.seconds:g}: expected {FASTEST:g} or more")
    from pipeline.tracking.follow import main as follow

    follow(arguments.seconds)
