"""``cgm compare A B``: which means moved by more than the seeds' spread allows."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cgm.core.errors import UserError
from cgm.core.files import write_json, write_text
from cgm.core.words import plural
from pipeline import outputs

if TYPE_CHECKING:
    from cgm.report.compare import Comparison, Key, Move

NAMED = 8
"""How many runs, or methods and metrics, are named where there are more."""
EPILOG = """\
A and B: results.csv of two reports, or the reports' folders: made on another chip, by another version, with another budget or other seeds.
A mean moved where Welch's t-test over seeds, Holm-adjusted over all means, has p < 5%. Means that did not move are not proven equal: their
intervals say how far apart they may be (--csv). Exit code 0: none moved; 1: some did; 2: a file can't be used, or the two have no
mean in common.
"""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("compare", help="which means of two results.csv differ by more than seeds do", epilog=EPILOG)
    parser.add_argument("a", metavar="A", type=Path)
    parser.add_argument("b", metavar="B", type=Path)
    for what in ("dataset", "method", "metric"):
        parser.add_argument(f"--{what}", metavar="NAME", action="append", default=[], help="only this one; may be repeated")
    parser.add_argument("--paired", action="store_true", help="by equal seeds: for the same trainings, measured in another way")
    parser.add_argument("--all", action="store_true", help="show the means that did not move too")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all differences there")
    parser.add_argument("--csv", metavar="FILE", type=Path, help="write all differences there, a row a mean")


def main(arguments: argparse.Namespace) -> None:
    """Ends the process with exit code 1 where a mean moved. Raises :class:`UserError`."""
    from cgm.report.compare import check_names, chosen, compare, read

    names = {what: getattr(arguments, what) for what in ("dataset", "method", "metric")}
    outputs.check(arguments.json, arguments.csv)
    a, b = read(arguments.a), read(arguments.b)
    check_names((a, b), names)
    found = compare(chosen(a, names), chosen(b, names), paired=arguments.paired)
    shown = found.moves if arguments.all else found.moved
    if shown:
        print(f"{table(shown)}\n")
    print("\n".join(summary(found, str(arguments.a), str(arguments.b))))
    if arguments.json:
        write_json(arguments.json, as_json(found))
    if arguments.csv:
        write_text(arguments.csv, to_csv(found.moves))
    if found.nothing:
        raise UserError(
            f"{arguments.a} and {arguments.b}: found no mean that both have, expected results of the same datasets, methods and metrics"
        )
    if found.moved:
        sys.exit(1)


def table(moves: Sequence[Move]) -> str:
    """For the screen, in the metrics' own scale."""
    from cgm.evaluation.metrics import METRICS
    from cgm.evaluation.stats import decimals, format_half_width, format_number

    lines = [["dataset", "method", "metric", "A", "B", "B − A", "95% ±", "seeds", "p (Holm)", ""]]
    for move in moves:
        scale = METRICS[move.metric].scale if move.metric in METRICS else 1.0
        half = None if move.half_width is None else move.half_width * scale
        places = decimals(half) if half else 4
        lines.append(
            [
                move.dataset,
                move.method,
                f"{move.metric}{f':{move.judge}' if move.judge else ''}{f' ×{scale:g}' if scale != 1 else ''}",
                *(format_number(value * scale, places) for value in (move.a, move.b, move.difference)),
                "" if half is None else format_half_width(half, places),
                f"{move.n_a} / {move.n_b}",
                "" if move.p_adjusted is None else "< 0.0001" if move.p_adjusted < 1e-4 else f"{move.p_adjusted:.4f}",
                "moved" if move.moved else "too few seeds" if move.p is None else "",
            ]
        )
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    text = [
        "  ".join(
            cell.ljust(width) if place < 3 else cell.rjust(width) for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return "\n".join(line.rstrip() for line in text)


def summary(found: Comparison, a: str, b: str) -> list[str]:
    tested = len(found.moves) - len(found.untold)
    lines = [
        f"A: {a}",
        f"B: {b}",
        f"{plural(found.equal + len(found.moves), 'mean')} in both: {len(found.moved)} moved, {tested - len(found.moved)} within what "
        f"seeds allow, {found.equal} of the same values, {len(found.untold)} with too few seeds to tell.",
    ]
    if found.smallest_seen is not None:
        lines.append(
            f"With so few seeds for so many means, a shift of less than {found.smallest_seen:.2g} standard deviations over seeds is hardly "
            "seen; fewer questions (--metric, --method, --dataset) see smaller ones."
        )
    for name, keys, broken in (("A", found.only_a, found.broken_a), ("B", found.only_b, found.broken_b)):
        if keys:
            lines.append(f"Only in {name}: {_named(keys)}.")
        if broken:
            lines.append(f"Without values in {name}: {_some([f'{run} ({status})' for run, status in broken.items()])}.")
    if found.untrained is not None:
        share, (dataset, method, metric, _) = found.untrained
        lines.append(
            "Baselines and floors, which need no training, are the same."
            if share == 0
            else f"Baselines and floors, which need no training, differ by up to {100 * share:.3g}% ({dataset}, {method}, {metric}): more "
            "than rounding comes of other data, images or metrics."
        )
    return lines


def _named(keys: Sequence[Key]) -> str:
    """By dataset and method, with the number of metrics."""
    counts: dict[str, int] = {}
    for dataset, method, *_ in keys:
        counts[f"{dataset}/{method}"] = counts.get(f"{dataset}/{method}", 0) + 1
    return _some([f"{name} ({plural(count, 'metric')})" for name, count in counts.items()])


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def as_json(found: Comparison) -> dict[str, Any]:
    names = ("dataset", "method", "metric", "judge")
    return {
        "moves": [{**asdict(move), "moved": move.moved} for move in found.moves],
        "equal": found.equal,
        "only_a": [dict(zip(names, key, strict=True)) for key in found.only_a],
        "only_b": [dict(zip(names, key, strict=True)) for key in found.only_b],
        "broken_a": dict(found.broken_a),
        "broken_b": dict(found.broken_b),
    }


def to_csv(moves: Sequence[Move]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    header = ["dataset", "method", "metric", "judge", "a", "b", "n_a", "n_b", "difference", "half_width", "p", "p_adjusted"]
    writer.writerow([*header, "moved"])
    for move in moves:
        writer.writerow([*(getattr(move, name) for name in header), int(move.moved)])
    return file.getvalue()
