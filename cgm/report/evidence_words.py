"""How the evidence of a claim is worded: what was compared, by how much, which runs are missing, and where on the page to look."""

from __future__ import annotations

import math

from cgm.claims.effect import Effect
from cgm.claims.ledger import Claim, Test
from cgm.evaluation import stats
from cgm.evaluation.measures import metric_of
from cgm.report import footnotes, labels
from cgm.report.quantities import QUANTITIES, SPREAD
from cgm.report.results import BROKEN, DatasetResult, RunResult

FIGURES_OF = {
    "paired": ("plane", "grid"),
    "distribution": ("plane", "grid"),
    "diversity": ("samples", "grid"),
    "conditioning": ("manifold", "answers", "grid"),
    "sharpness": ("spectrum", "grid"),
}
"""The figures that show what the metrics of a group measure."""
WORDS = {
    "filters": "first-layer filters",
    "main": "main results",
    "further": "further metrics",
    "cost": "cost",
    "stability": "stability",
    "effort": "GAN loss against perceptual loss",
    "plane": "perception–distortion plane",
    "grid": "outputs",
    "manifold": "modes, mean and median",
    "answers": "targets of one input",
    "samples": "samples",
    "spectrum": "spectrum",
    "losses": "losses over training",
}


def amount_and_limit(dataset: DatasetResult, test: Test, effect: Effect) -> tuple[str, str]:
    """The effect and δ, as people read them."""
    if test.contrast == "ratio":
        low, middle, high = (math.exp(effect.mean + sign * (effect.half_width or 0.0)) for sign in (-1, 0, 1))
        return f"×{middle:.2f}" + (f" ({low:.2f} to {high:.2f})" if effect.half_width else ""), f"{100 * test.delta:g}%"
    scale, places, unit = _shown(dataset, test.metric)
    half_width = None if effect.half_width is None else effect.half_width * scale
    if half_width and half_width < 10**-places:
        places = stats.decimals(half_width)
    text = stats.format_interval(stats.Interval(mean=effect.mean * scale, half_width=half_width, n=effect.n_seeds), places)
    return text, f"{test.delta * scale:g}{unit}"


def too_few(dataset: DatasetResult, arms: list[str], found: int, fewest: int, metric: str = "") -> str:
    """Why a test with values of ``found`` seeds only is not made: how many it needs, and what became of the others."""
    runs = {arm: dataset.independent(arm) for arm in arms}
    reasons = [f"{arm_title(dataset, arm)}: {broken_counts(those)}" for arm, those in runs.items() if any(not run.ok for run in those)]
    absent = {note for those in runs.values() for run in those if run.ok and (note := run.scores.get("notes", {}).get(metric))}
    why = "; ".join([*reasons, *sorted(absent)])
    return f"{labels.plural(found, 'seed')} with values, {fewest} needed" + (f" ({why})" if why else "")


def broken_counts(runs: list[RunResult]) -> str:
    """``1 seed diverged, 2 seeds missing``; empty where all runs are ok."""
    counts = footnotes.run_counts(runs)
    return ", ".join(f"{labels.plural(counts[status], 'seed')} {status}" for status in BROKEN if counts[status])


def arms(test: Test) -> list[str]:
    """The arms that a test compares, each once."""
    return list(dict.fromkeys(arm for arm in (test.arm, test.against.arm) if arm))


def compared_words(dataset: DatasetResult, test: Test, beside: str, metric: str = "") -> str:
    """``retrieval@1, Pix2Pix − cGAN (no L1)``."""
    metric = metric or test.metric
    sign = "÷" if test.contrast == "ratio" else "−"
    what = _metric_title(dataset, metric)
    if test.against.metric:
        return f"{arm_title(dataset, test.arm)} {what} {sign} {'' if test.against.arm is None else f'{beside} '}" + _metric_title(
            dataset, test.against.metric
        )
    distance = f"distance of {what} from {metric_of(metric).target or 0:g}" if test.expect == "nearer" else what
    return f"{distance}, {arm_title(dataset, test.arm)} {sign} {beside}"


def _metric_title(dataset: DatasetResult, metric: str) -> str:
    return QUANTITIES[metric].title if metric in QUANTITIES else labels.scaled_title(metric, dataset.judge_of(metric))


def _shown(dataset: DatasetResult, metric: str) -> tuple[float, int, str]:
    """Factor, decimals and unit with which a metric's numbers are written."""
    if metric in QUANTITIES:
        return 1.0, QUANTITIES[metric].decimals, ""
    if metric.startswith(SPREAD):
        return 1.0, 2, ""
    record = metric_of(metric)
    return record.scale, record.decimals, f" {record.unit}" if record.unit else ""


def arm_title(dataset: DatasetResult, arm: str) -> str:
    """What readers call a method."""
    return labels.method_title(arm, dataset.methods[arm])


def row_title(row: str) -> str:
    """What readers call a row of the reference: ``copy the input``, ``chance``."""
    return "chance" if row == "chance" else labels.reference_title(row.partition(":")[2]).lower()


def links_of(dataset: DatasetResult, claim: Claim) -> tuple[tuple[str, str], ...]:
    """Tables, then figures, each once."""
    tables, figures = [], []
    for metric in (metric for test in claim.tests for metric in (test.metric, test.against.metric) if metric):
        key = metric.removeprefix(SPREAD)
        if metric in QUANTITIES:
            tables.append(QUANTITIES[metric].table)
            figures += ["losses"] if QUANTITIES[metric].table == "stability" else []
        elif key in dataset.measures:
            main = key in labels.main_measures(dataset.measures)
            tables.append("stability" if metric != key else "main" if main else "further")
            figures += FIGURES_OF[metric_of(key).group]
    return tuple((WORDS[kind], f"#{kind}-{dataset.name}") for kind in dict.fromkeys([*tables, *figures]))
