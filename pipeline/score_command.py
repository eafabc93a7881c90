"""``cgm score OUTPUTS``: the metrics of pictures in folders, without an experiment."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from cgm.core.errors import UserError
from cgm.core.files import write_json, write_text
from pipeline import outputs

if TYPE_CHECKING:
    from cgm.evaluation.score import Row

EPILOG = """\
Nothing is resized: all pictures must have one size. Values are comparable with those of another set only at equal numbers of pictures and
through the same judge; that is why both stand beside each value. The floor is what real pictures score against other real pictures.
"""
AGAINST_TARGETS = (
    "Distribution and diversity are measured against the targets, whose content the outputs share, and not against other real pictures "
    "(--train): blurred outputs may then seem better than real ones."
)


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("score", help="the metrics alone, for any two folders", epilog=EPILOG)
    parser.add_argument("outputs", metavar="OUTPUTS", type=Path, help="a folder with pictures that any model made")
    parser.add_argument("--targets", metavar="T", type=Path, help="each output's own target, named like it")
    parser.add_argument("--inputs", metavar="X", type=Path, help="what the outputs were made of, named like them: scored beside them")
    parser.add_argument("--train", metavar="R", type=Path, help="real pictures for distribution metrics (default: the targets)")
    parser.add_argument("--judge", metavar="NAME", action="append", help="a network to look through; may be repeated, the first leads")
    parser.add_argument("--lpips", metavar="NET", action="append", help="alex, vgg, squeeze or off; may be repeated (default: alex)")
    parser.add_argument("--dataset", metavar="NAME", help="with a dataset's name, random choices are those of the pipeline for it")
    parser.add_argument("--threads", metavar="N", type=int, default=1, help="CPU threads (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the values there")
    parser.add_argument("--csv", metavar="FILE", type=Path, help="write the values there, a row a measure")


def main(arguments: argparse.Namespace) -> None:
    """Raises :class:`UserError`."""
    outputs.check(arguments.json, arguments.csv)
    config = _config(arguments.judge, arguments.lpips)
    if arguments.threads < 1:
        raise UserError(f"--threads: found {arguments.threads}, expected 1 or more")
    import torch

    from cgm.evaluation.score import NAME, score
    from pipeline.memory import shortage_told

    torch.set_num_threads(arguments.threads)
    with shortage_told("score", {"outputs": str(arguments.outputs)}, "score fewer pictures"):
        rows = score(
            arguments.outputs,
            targets=arguments.targets,
            inputs=arguments.inputs,
            train=arguments.train,
            config=config,
            dataset=arguments.dataset or NAME,
            label=f"score {arguments.outputs}",
        )
    print(table(rows, arguments))
    if arguments.json:
        write_json(arguments.json, {"judges": [each.name for each in config.judges], "rows": [asdict(row) for row in rows]})
    if arguments.csv:
        write_text(arguments.csv, to_csv(rows))


def _config(judges: Sequence[str] | None, lpips: Sequence[str] | None) -> Any:
    from cgm.experiment.settings import Evaluation

    try:
        given: dict[str, Any] = {"judges": judges, "lpips": "off" if lpips == ["off"] else lpips}
        return Evaluation(**{key: value for key, value in given.items() if value})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = str(first["loc"][0]).removesuffix("s") if first["loc"] else "judge"
        raise UserError(f"--{'lpips' if option == 'lpip' else option}: {first['msg'].removeprefix('Value error, ')}") from None


def table(rows: Sequence[Row], arguments: argparse.Namespace) -> str:
    """For the screen: a line a measure that has a value, then why others have none."""
    from cgm.evaluation.measures import metric_of
    from cgm.evaluation.stats import format_number
    from cgm.report import labels

    def number(value: float | None, key: str) -> str:
        metric = metric_of(key)
        return "" if value is None else format_number(value * metric.scale, metric.decimals)

    head = ["", "", "value", "95%", *(["inputs"] if arguments.inputs else []), "floor", "N real / outputs"]
    lines = [head]
    for row in (row for row in rows if row.value is not None):
        interval = "" if row.interval is None else " … ".join(number(end, row.key) for end in row.interval)
        floor = number(row.floor, row.key) + (f" (N = {row.floor_n})" if row.floor is not None and row.floor_n != row.n_fake else "")
        beside = [number(row.inputs, row.key)] if arguments.inputs else []
        title = labels.scaled_title(row.key, row.judge)
        lines.append([title, labels.arrow(row.key), number(row.value, row.key), interval, *beside, floor, f"{row.n_real} / {row.n_fake}"])
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    text = [
        "  ".join(
            cell.ljust(width) if place < 2 else cell.rjust(width) for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.value is None:
            reasons.setdefault(row.note, []).append(labels.metric_title(row.key, row.judge))
    text += ["", *(f"No {labels.listing(titles)}: {note}." for note, titles in reasons.items())]
    judges = list(dict.fromkeys(row.judge for row in rows if row.judge))
    text.append(f"Looked through {labels.listing(judges)}.")
    if arguments.train is None:
        text.append(AGAINST_TARGETS)
    return "\n".join(line.rstrip() for line in text)


def to_csv(rows: Sequence[Row]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["metric", "judge", "value", "low", "high", "inputs", "floor", "floor_n", "n_real", "n_fake", "note"])
    for row in rows:
        low, high = row.interval or (None, None)
        writer.writerow(
            [row.key, row.judge, row.value, low, high, row.inputs, row.floor, row.floor_n or None, row.n_real, row.n_fake, row.note]
        )
    return file.getvalue()
