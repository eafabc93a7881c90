"""How often verdicts are wrong, and how often right, on simulated benchmarks whose truth is known: ``python -m benchmarks.study.verdicts
--write`` renews the section "verdicts" of ``docs/claims.md``. What the benchmark uses is called as the benchmark calls it."""

from __future__ import annotations

import argparse
import datetime
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.page import ROOT, machine, progress, renew_section, table
from benchmarks.study.simulated import SHARES, Images, per_image
from cgm.claims.effect import of_estimate
from cgm.claims.ledger import Claim, Expected, parse_claims
from cgm.claims.verdict import ALPHA, PREDICTED, Evidence, Looked, Verdict, judge
from cgm.core.seeds import numpy_generator
from cgm.evaluation.uncertainty import Measured, difference, means_left_out

PAGE = Path("docs/claims.md")
COMMAND = "benchmarks.study.verdicts"
BENCHMARKS = 200
"""Simulated ones, for each row."""
SEEDS = (3, 5, 10)
IMAGES = 100
DATASETS = ("a", "b")
CLAIMS = 30
"""Of a ledger."""
POWERED = (2.0, 5.0, 10.0, 20.0)
"""δ, in standard errors of a difference with the given numbers of seeds and images."""
BOUNDARY = 5.0
"""Likewise, where errors are counted."""
FAR = 10.0
"""A true effect there, in δ."""
SE = math.sqrt(2)
"""Of the difference of two simulated means, each of variance 1."""
EXPECTED: tuple[Expected, ...] = ("higher", "lower", "same")


@dataclass(frozen=True)
class Truth:
    """True effects in units of δ, of claims × datasets."""

    claims: tuple[Claim, ...]
    effects: np.ndarray

    def wrong(self, verdicts: Sequence[Verdict]) -> bool:
        """Whether any claim is called SUPPORTED or CONTRADICTED that isn't. On δ itself an effect lies in no region."""
        return any(self._is_wrong(verdict, effects) for verdict, effects in zip(verdicts, self.effects, strict=True))

    def _is_wrong(self, verdict: Verdict, effects: np.ndarray) -> bool:
        expected = verdict.claim.tests[0].expect
        regions = ["above" if effect > 1 else "below" if effect < -1 else "within" if abs(effect) < 1 else "" for effect in effects]
        looked = [region for region, dataset in zip(regions, DATASETS, strict=True) if dataset in verdict.claim.datasets]
        predicted = PREDICTED[expected]
        holds = all(region == predicted for region in looked)
        fails = all(region not in (predicted, "within", "") for region in looked)
        return (verdict.kind == "SUPPORTED" and not holds) or (verdict.kind == "CONTRADICTED" and not fails)


def ledger(expected: Sequence[Expected]) -> tuple[Claim, ...]:
    """Made-up claims of one test each: arm i beside the arm that all have in common; of one dataset and of both in turn."""
    words = dict.fromkeys(("source", "control", "caveat"), "made up") | {"sentence": "Arm i differs from the common arm."}
    test = {"metric": "mae", "against": {"arm": "common"}, "delta": 1.0, "because": "made up"}
    entries = [
        {
            **words,
            "id": f"claim-{place}",
            "datasets": list(DATASETS if place % 2 else DATASETS[:1]),
            "tests": [{**test, "arm": f"arm-{place}", "expect": how}],
        }
        for place, how in enumerate(expected)
    ]
    return parse_claims({"claims": entries})


def nulls(real: int = 0) -> Truth:
    """Effects on the edge of what their claims say, or 0: where errors are likeliest. A third of the claims predict the same, half speak of
    both datasets. The first ``real`` claims are true, by far: then Holm's method asks less of the others.
    """
    expected = tuple(itertools.islice(itertools.cycle(EXPECTED), CLAIMS))
    edges = {"higher": (1.0, -1.0, 0.0), "lower": (-1.0, 1.0, 0.0), "same": (1.0, -1.0, 1.0)}
    true = {"higher": FAR, "lower": -FAR, "same": 0.0}
    effects = [true[how] if place < real else edges[how][place // len(EXPECTED) % 3] for place, how in enumerate(expected)]
    return Truth(ledger(expected), np.repeat(np.array(effects)[:, None], len(DATASETS), 1))


def doubled() -> Truth:
    """Every effect is twice δ, as predicted; half of the claims speak of both datasets."""
    return Truth(ledger(["higher"] * CLAIMS), np.full((CLAIMS, len(DATASETS)), 2.0))


def simulate(truth: Truth, dominates: str, seeds: int, delta: float, benchmarks: int) -> Iterator[tuple[Verdict, ...]]:
    """The verdicts of so many benchmarks. ``delta``: δ in standard errors of a difference."""
    generator = numpy_generator("simulated", dominates, seeds, f"verdicts/{delta:g}")
    images = Images.of(IMAGES, False, generator)
    for _ in range(benchmarks):
        values = per_image("normal", SHARES[dominates], images, (len(DATASETS), len(truth.claims) + 1, seeds), generator)
        values[:, :-1] += delta * SE * truth.effects.T[..., None, None]
        means, left_out = values.mean(-1), means_left_out(values, images.groups)
        arms = [
            [
                {seed: Measured(value=value, left_out=out) for seed, (value, out) in enumerate(zip(*arm, strict=True))}
                for arm in zip(*dataset, strict=True)
            ]
            for dataset in zip(means, left_out, strict=True)
        ]
        looked = []
        for place, claim in enumerate(truth.claims):
            found = []
            for of_dataset, name in zip(arms, DATASETS, strict=True):
                if name in claim.datasets:
                    apart = difference(of_dataset[place], of_dataset[-1], images.sizes, "lower")
                    assert apart is not None
                    found.append(Looked(dataset=name, evidence=(Evidence(effect=of_estimate(apart), delta=delta * SE),)))
            looked.append((claim, found))
        yield judge(looked)


def false_alarms(benchmarks: int) -> list[list[str]]:
    """Per cent of benchmarks with any false verdict: where no claim is true, and where half of them are."""
    rows = []
    for dominates, seeds in itertools.product(SHARES, SEEDS):
        row = [dominates, str(seeds)]
        for truth in (nulls(), nulls(CLAIMS // 2)):
            found = [truth.wrong(verdicts) for verdicts in simulate(truth, dominates, seeds, BOUNDARY, benchmarks)]
            row.append(f"{100 * np.mean(found):.1f}")
        rows.append(row)
        progress("false verdicts", *row)
    return rows


def power(benchmarks: int) -> list[list[str]]:
    """Per cent of claims that are SUPPORTED: on one dataset, on two, and by themselves on one."""
    rows, truth = [], doubled()
    for dominates, seeds in itertools.product(SHARES, SEEDS):
        row = [dominates, str(seeds)]
        for delta in POWERED:
            verdicts = [verdict for those in simulate(truth, dominates, seeds, delta, benchmarks) for verdict in those]
            one, both = ([each for each in verdicts if len(each.claim.datasets) == count] for count in (1, 2))
            row.append(" / ".join(f"{100 * np.mean([each.kind == 'SUPPORTED' for each in those]):.0f}" for those in (one, both)))
            row.append(f"{100 * np.mean([each.unadjusted == 'SUPPORTED' for each in one]):.0f}")
        rows.append(row)
        progress("power", *row)
    return rows


def section(alarms: Sequence[Sequence[str]], powers: Sequence[Sequence[str]], benchmarks: int) -> str:
    heads = [text for delta in POWERED for text in (f"δ = {delta:g} SE", "by itself")]
    error = 100 * math.sqrt(ALPHA * (1 - ALPHA) / benchmarks)
    parts = [
        f"Simulated: {benchmarks} benchmarks a row, each with {CLAIMS} claims, half of them of two datasets; every arm is compared with\n"
        f"one common arm, on {IMAGES} test images. *Dominates*: what most of the variance comes from, as in [metrics](metrics.md).\n"
        "SE: the standard error of a difference, with the given numbers of seeds and images.\n"
        f"Renewed by `python -m {COMMAND} --write`; {machine()}; {datetime.date.today().isoformat()}.",
        "**False verdicts.** Per cent of benchmarks in which any claim is falsely called SUPPORTED or CONTRADICTED. Effects are 0, or\n"
        f"exactly ±δ ({BOUNDARY:g} SE), where errors are likeliest; a third of the claims predict *the same*. In the last column half of\n"
        f"the claims are true, by far, so that Holm's method asks less of the others. Standard error near 5%: {error:.1f} points.",
        table(["dominates", "seeds", "no claim is true", "half are"], alarms),
        "**Power.** Per cent of claims that are SUPPORTED where every true effect is 2 δ: of those of one dataset / of those of two; and\n"
        "*by itself*, without the adjustment, of one dataset.",
        table(["dominates", "seeds", *heads], powers),
    ]
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(prog=f"python -m {COMMAND}", description="How often verdicts are wrong, and how often right.")
    parser.add_argument("--benchmarks", type=int, default=BENCHMARKS, help="simulated benchmarks a row (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help=f"renew the section in {PAGE}; otherwise it is printed")
    arguments = parser.parse_args()
    text = section(false_alarms(arguments.benchmarks), power(arguments.benchmarks), arguments.benchmarks)
    if arguments.write:
        renew_section("verdicts", text, ROOT / PAGE)
    else:
        print(text)


if __name__ == "__main__":
    main()
