"""The checkout's code, taken apart once for all tests of a process: it takes seconds, and most tests don't ask how it is done."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from pipeline.code import CACHE, PACKAGES, Code

ROOT = Path(__file__).parents[1]


@cache
def _taken_apart() -> bytes:
    with tempfile.TemporaryDirectory() as place:
        for package in PACKAGES:
            (Path(place) / package).symlink_to(ROOT / package)
        code = Code(Path(place))
        for package in PACKAGES:
            for path in (ROOT / package).rglob("*.py"):
                parts = path.relative_to(ROOT).with_suffix("").parts
                code.module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
        code.save()
        return (Path(place) / CACHE).read_bytes()


def give_code_cache(folder: Path) -> None:
    """What ``folder``, a copy of the checkout, has in ``build/code.json`` after its first command. What is changed there is read anew."""
    (folder / CACHE).parent.mkdir(parents=True, exist_ok=True)
    (folder / CACHE).write_bytes(_taken_apart())
