"""``cgm verify [REPORTS]``: does a report say what its runs' files say?"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cgm.core.errors import UserError
from cgm.core.files import write_json
from cgm.core.words import plural
from cgm.experiment import paths
from cgm.experiment.reading import load_params

FILES, OF_A_FILE = 20, 5
"""How many files are printed, and how many differences of each; --json has all."""
EPILOG = """\
In the project's folder, with params.yaml and the runs' files, the whole report is rendered anew and compared. Anywhere else (or with
--alone) it is held against itself: formats of a table against each other, means against results.csv, keys against content, files against
manifest.json. Exit code 0: nothing differs; 1: something does; 2: there is no report to verify.
"""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("verify", help="does a report say what its runs' files say?", epilog=EPILOG)
    parser.add_argument("reports", metavar="REPORTS", type=Path, nargs="?", default=Path("reports"), help="its folder (default: reports)")
    parser.add_argument("--alone", action="store_true", help="hold it against itself, even where the runs' files are")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the differences there")


def main(arguments: argparse.Namespace) -> None:
    """Ends the process with exit code 1 where something differs. Raises :class:`UserError`."""
    from cgm.report import verify
    from cgm.report.build import MANIFEST, build
    from pipeline import origin, outputs

    folder: Path = arguments.reports
    outputs.check(arguments.json)
    files = read(folder)
    if MANIFEST not in files:
        raise UserError(f"{folder / MANIFEST}: not found; expected the folder of a report, as `python -m pipeline.report` writes it")
    made_by = origin.read(folder)
    beside = not arguments.alone and made_by is not None and runs_are_here()
    if beside:
        assert made_by is not None
        found = verify.between(files, build(load_params(), origin=made_by).cited)
    else:
        found = verify.alone(files)
    if arguments.json:
        write_json(arguments.json, {"rendered_anew": beside, "differences": [asdict(each) for each in found]})
    if not found:
        how = "they are what the runs' files make, rendered anew" if beside else "they agree with one another and with the manifest"
        print(f"{folder}: {plural(len(files), 'file')}; {how}")
        return
    by_file: dict[str, list[verify.Difference]] = {}
    for each in sorted(found, key=lambda each: (not each.file.endswith(".csv"), each.file)):  # data first, then what shows it
        by_file.setdefault(each.file, []).append(each)
    for name, there in list(by_file.items())[:FILES]:
        print("\n".join(map(str, there[:OF_A_FILE])))
        if len(there) > OF_A_FILE:
            print(f"{name}: and {len(there) - OF_A_FILE} more")
    if len(by_file) > FILES:
        print(f"and {len(by_file) - FILES} more files")
    print(f"{folder}: {plural(len(found), 'difference')} in {plural(len(by_file), 'file')}", file=sys.stderr)
    if beside and made_by is not None and made_by.commit and (here := origin.checkout(Path()))[0] != made_by.commit:
        print(f"note: the report is by commit {made_by.commit[:12]}, and {here[0][:12] or 'no commit'} is checked out", file=sys.stderr)
    sys.exit(1)


def read(folder: Path) -> dict[str, bytes]:
    """Every file of a report, by its path in it; what an operating system hides there is none of it."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no folder; expected one with a report, as `python -m pipeline.report` writes it")
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def runs_are_here() -> bool:
    """Whether this is a project's folder with runs that its ``params.yaml`` lists."""
    params = Path("params.yaml")
    return params.is_file() and any((paths.run_folder(run) / "run.json").is_file() for run in load_params(params).runs())
