"""The results of experiments other than default that git keeps, and docs/studies.md, which shows them.

    python docs/studies.py FOLDER     # keeps those of the project in FOLDER, where `make all` has finished, and renews its section
    python docs/studies.py            # renews the sections from what is kept
    python docs/studies.py --check    # writes nothing, and fails where a section would come out otherwise

What is kept is a part of the report in FOLDER, under the same names: docs/studies/NAME is a folder for `cgm verify` and `cgm cite`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.page import renew_section  # noqa: E402
from cgm.core.errors import UserError  # noqa: E402
from cgm.core.files import remove  # noqa: E402
from cgm.experiment.reading import load_params  # noqa: E402
from cgm.report import citation, origin, verify  # noqa: E402
from cgm.report.build import MANIFEST, of_tables  # noqa: E402
from cgm.report.plotting import for_both_themes  # noqa: E402
from cgm.report.table_format import Table, from_json, to_markdown  # noqa: E402
from pipeline.verify_command import read  # noqa: E402

COMMAND = "python docs/studies.py"
PAGE, KEPT = Path("docs/studies.md"), Path("docs/studies")
PARTS = ("results.csv", origin.FILE, "tables/main-*.json", "pictures/grid-*.png")
OF_TABLES = (citation.BIB, citation.NUMBERS)
"""Made anew, of the kept tables alone."""
DRAWN = "plane-*.svg"
"""Of the figures that a report draws for papers; the report itself has them within its page."""


def taken(folder: Path) -> tuple[str, dict[str, bytes]]:
    """The experiment's name, and what is kept of it. Raises :class:`UserError` where its report isn't whole, or its runs aren't."""
    name, files = load_params(folder / "params.yaml").experiment, read(folder / "reports")
    if found := verify.alone(files):
        raise UserError(f"{folder / 'reports'}: {found[0]}; expected a whole report: run `make all` there")
    kept = {path: data for path, data in files.items() if any(fnmatch(path, part) for part in PARTS)}
    for path in sorted((folder / "build/report").glob(DRAWN)):
        kept[f"figures/{path.name}"] = for_both_themes(path.read_bytes())
    if stamped := [table.name for table in tables_in(kept) if table.stamp]:
        raise UserError(f"{folder / 'reports'}: {stamped[0]} is not citable; finish all runs of a committed state there")
    made = of_tables(tables_in(kept), origin.Origin.from_json(kept[origin.FILE].decode()))
    kept |= {path: made[path] for path in OF_TABLES}
    digests = {path: hashlib.sha256(data).hexdigest() for path, data in sorted(kept.items())}
    return name, {**kept, MANIFEST: (json.dumps({"sha256": digests}, indent=2) + "\n").encode()}


def tables_in(files: Mapping[str, bytes]) -> list[Table]:
    return [from_json(data.decode()) for path, data in sorted(files.items()) if path.startswith("tables/")]


def section(name: str, files: Mapping[str, bytes]) -> str:
    """Each dataset's plane, its main table and its pictures."""
    lines = [f"`.venv/bin/cgm experiment {name}`, then `make all`. Every value: [results.csv]({KEPT.name}/{name}/results.csv)."]
    for table in tables_in(files):
        dataset = table.dataset
        for path, alt in (
            (f"figures/plane-{dataset}.svg", f"{dataset}: each method of {name} by its distortion and its perceptual quality"),
            (f"pictures/grid-{dataset}.png", f"{dataset}: inputs, targets, and what each method of {name} makes of the inputs"),
        ):
            if path in files:
                lines += ["", f"![{alt}]({KEPT.name}/{name}/{path})"]
        lines += ["", to_markdown(table).strip()]
    return "\n".join(lines)


def sections() -> dict[str, str]:
    """Of everything that is kept."""
    folders = sorted(path for path in (ROOT / KEPT).iterdir() if path.is_dir())
    return {folder.name: section(folder.name, read(folder)) for folder in folders}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Keep the results of an experiment in docs/studies, and show them in docs/studies.md.")
    parser.add_argument("folder", metavar="FOLDER", type=Path, nargs="?", help="a project in which `make all` has finished")
    parser.add_argument("--check", action="store_true", help="write nothing, and fail where a section would come out otherwise")
    arguments = parser.parse_args(argv)
    try:
        if arguments.folder and not arguments.check:
            name, files = taken(arguments.folder)
            remove(ROOT / KEPT / name)
            for path, data in files.items():
                (ROOT / KEPT / name / path).parent.mkdir(parents=True, exist_ok=True)
                (ROOT / KEPT / name / path).write_bytes(data)
        made = sections()
    except UserError as error:
        sys.exit(f"error: {error}")
    page = ROOT / PAGE
    for name, text in made.items():
        if not arguments.check:
            renew_section(name, text, page)
        elif f"<!-- {name}: generated, do not edit -->\n{text}\n" not in page.read_text(encoding="utf-8"):
            sys.exit(f"error: {PAGE}, section {name}: out of date; run {COMMAND}")


if __name__ == "__main__":
    main()
