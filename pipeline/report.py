"""Stage ``report``: every run's files → ``reports/``, which git keeps, and ``build/report/``, the figures as files.

``python -m pipeline.report`` builds the whole report before it touches the old one. Runs that are missing or diverged are marked in it.
Which commit it is by: :mod:`pipeline.origin`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cgm.core.files import remove, replacing
from cgm.experiment.params import Params
from cgm.report.build import MANIFEST, Report, build
from pipeline import origin
from pipeline.stage_command import main

FOLDER, DRAWN = Path("reports"), Path("build/report")
"""No engine looks at the second: git does not keep it, so it would look stale after every checkout of another revision."""


def run(params: Params, without: Mapping[str, str] | None = None) -> None:
    """``without``: runs that are left out, each with its log if it failed."""
    publish(build(params, origin=origin.find(params, FOLDER, without or {})))


def publish(report: Report) -> None:
    for files, folder in ((report.drawn, DRAWN), (report.cited, FOLDER)):
        renew(files, folder)


def renew(files: dict[str, bytes], folder: Path) -> None:
    """Replace the folder's contents file by file, the manifest last; what belongs to no report any more goes."""
    for name in sorted(files, key=lambda name: (name == MANIFEST, name)):
        with replacing(folder / name) as temporary:
            temporary.write_bytes(files[name])
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_file() and path.relative_to(folder).as_posix() not in files:
            remove(path)
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


if __name__ == "__main__":
    main(run)
