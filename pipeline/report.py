"""Stage ``report``: every run's files → ``reports/``.

``python -m pipeline.report`` builds the whole report before it touches the old one. Runs that are missing or diverged are marked in it.
"""

from __future__ import annotations

from pathlib import Path

from cgm.config import Params
from cgm.files import remove, replacing
from cgm.report.build import MANIFEST, build
from pipeline.stage import main

FOLDER = Path("reports")


def run(params: Params) -> None:
    publish(build(params), FOLDER)


def publish(files: dict[str, bytes], folder: Path) -> None:
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
