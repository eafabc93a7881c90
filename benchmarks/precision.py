"""Whether bfloat16 changes what the benchmark finds: two ``results.csv`` of the same experiment, one trained in each precision.

``python -m benchmarks.precision FLOAT32.csv BFLOAT16.csv --write`` compares them over the seeds; it trains nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.page import run_command, table
from cgm.core.errors import UserError
from cgm.evaluation.metrics import METRICS

SHOWN = ("mae", "pd", "kid", "fid", "recall", "highfreq_ratio", "retrieval")
"""Metrics with a column of the table; the count below it is of all."""
LEVEL = 0.05


@dataclass(frozen=True)
class Comparison:
    """One metric of one method over the seeds of both sides."""

    dataset: str
    method: str
    metric: str
    float32: float
    bfloat16: float
    seeds: int
    spread: float
    """Pooled standard deviation over seeds."""
    p: float
    """Of Welch's t-test for equal means; 1 where both sides are constant and equal."""

    @property
    def shift(self) -> float:
        """Difference of the means in standard deviations over seeds."""
        difference = self.bfloat16 - self.float32
        return difference / self.spread if self.spread else (0.0 if difference == 0 else float("inf"))


def compare(float32: pd.DataFrame, bfloat16: pd.DataFrame) -> list[Comparison]:
    """Every metric of every trained method that both sides have with the same seeds, two or more."""
    keys = ["dataset", "method", "metric"]
    sides = [side[~side["method"].str.contains(":") & (side["status"] == "ok") & side["value"].notna()] for side in (float32, bfloat16)]
    groups = [dict(list(side.groupby(keys))) for side in sides]
    found = []
    for key in sorted(groups[0].keys() & groups[1].keys()):
        left, right = (group[key].set_index("seed")["value"].sort_index() for group in groups)
        if list(left.index) != list(right.index) or len(left) < 2 or key[2] not in METRICS:
            continue
        spread = float(np.sqrt((left.var() + right.var()) / 2))
        equal = spread == 0 and left.iloc[0] == right.iloc[0]
        p = 1.0 if equal else _welch(left, right) if spread else 0.0
        found.append(Comparison(*key, float(left.mean()), float(right.mean()), len(left), spread, p))
    return found


def _welch(left: pd.Series, right: pd.Series) -> float:
    """p of Welch's test for equal means, two-sided."""
    errors = [side.var() / len(side) for side in (left, right)]
    freedom = sum(errors) ** 2 / sum(error**2 / (len(side) - 1) for error, side in zip(errors, (left, right), strict=True))
    return float(2 * stats.t.sf(abs(left.mean() - right.mean()) / np.sqrt(sum(errors)), freedom))


def section(found: Sequence[Comparison]) -> str:
    seeds = " or ".join(map(str, sorted({one.seeds for one in found})))
    by_run: dict[tuple[str, str], dict[str, Comparison]] = {}
    for one in found:
        by_run.setdefault((one.dataset, one.method), {})[one.metric] = one
    rows = [[f"{dataset} {method}", *(_cell(row.get(metric)) for metric in SHOWN)] for (dataset, method), row in by_run.items()]
    beyond = [one for one in found if one.p < LEVEL]
    adjusted = [one for one in found if one.p * len(found) < LEVEL]
    return "\n".join(
        (
            "## bfloat16 beside float32",
            "",
            f"The default experiment trained in each precision, {seeds} seeds; translation and evaluation are in float32 on both sides.",
            "Where the two are not of one commit, what else changed between them is in the difference too.",
            "Renewed by `python -m benchmarks.precision FLOAT32.csv BFLOAT16.csv --write` from two `results.csv`.",
            "Cells: mean in float32 → in bfloat16 (difference in standard deviations over seeds, `*` where Welch's test has p < 0.05).",
            "",
            table(["run", *(METRICS[metric].about.title for metric in SHOWN)], rows),
            "",
            f"Of {len(found)} comparisons (all metrics of all methods) {len(beyond)} have p < {LEVEL:g}; {LEVEL * len(found):.0f} would "
            "by chance alone if they were independent, which metrics of one run are not. After Bonferroni's correction "
            f"{len(adjusted)} are left"
            + (f": {', '.join(f'{one.dataset} {one.method} {one.metric}' for one in adjusted)}." if adjusted else "."),
        )
    )


def _cell(one: Comparison | None) -> str:
    if one is None:
        return ""
    return f"{one.float32:.3g} → {one.bfloat16:.3g} ({one.shift:+.1f}{'*' if one.p < LEVEL else ''})"


def measure(arguments: argparse.Namespace) -> tuple[str, str]:
    found = compare(*(pd.read_csv(path) for path in (arguments.float32, arguments.bfloat16)))
    if not found:
        raise UserError(f"{arguments.float32} and {arguments.bfloat16}: no method with the same two seeds or more in both")
    return "precision", section(found)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.precision", description="Compare the results of two precisions.")
    parser.add_argument("float32", type=Path, help="results.csv of the float32 runs")
    parser.add_argument("bfloat16", type=Path, help="results.csv of the bfloat16 runs")
    run_command(parser, measure)


if __name__ == "__main__":
    main()
