"""What MLflow is told of a dataset × method, the parent of its seeds: means with intervals, verdicts, and the report's figures.

Means and intervals are those of the report's tables, from the same function. Verdicts and figures are taken from ``reports/``, and only
where that report is of the very results that lie here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from cgm.claims.ledger import LEDGER, load_ledger
from cgm.core.files import sha256
from cgm.evaluation import stats
from cgm.evaluation.uncertainty import Estimate
from cgm.experiment.params import Params
from cgm.report.results import DatasetResult, Results, collect, tidy, tidy_csv
from pipeline.tracking.files import FORMAT, FinishedRun, read
from pipeline.tracking.record import LEVEL, METHOD, NAME, NOTE

REPORT, DRAWN = Path("reports"), Path("build/report")
SHOWN = 12
"""Metrics in a parent's description; all of them are among its metrics."""
LONGEST = 7900
"""Characters of a description; MLflow takes 8000 a tag."""


@dataclass(frozen=True)
class Group:
    """``figures``: files by their names among the run's artifacts."""

    name: str
    tags: dict[str, str]
    metrics: dict[str, float]
    figures: dict[str, Path]

    @cached_property
    def sent(self) -> dict[str, str]:
        """Hashes of the figures, by name."""
        return {name: sha256(path) for name, path in self.figures.items()}


@dataclass
class Groups:
    """All of an experiment's; results and report are read when the first of them is asked for."""

    params: Params
    root: Path = Path()
    _verdicts: list[dict[str, Any]] = field(default_factory=list)

    @cached_property
    def results(self) -> Results:
        return collect(self.params, self.root)

    @cached_property
    def reported(self) -> bool:
        """Whether ``reports/`` speaks of these results."""
        path = self.root / REPORT / "results.csv"
        return path.is_file() and path.read_bytes() == tidy_csv(tidy(self.results)).encode()

    @cached_property
    def tests(self) -> list[tuple[tuple[str, ...], dict[str, str]]]:
        """A row for each test of a claim on a dataset, with the arms that it compares; and the claim's verdict."""
        tables = self.root / REPORT / "tables"
        if not (self.reported and (tables / "tests.json").is_file()):
            return []
        claims = {claim.id: claim for claim in load_ledger(self.root / LEDGER).claims}
        kinds = {row["key"]: row["cells"]["verdict"]["text"] for row in read(tables / "verdicts.json")["rows"]}
        found = []
        for row in read(tables / "tests.json")["rows"]:
            cells = {key: cell["text"] for key, cell in row["cells"].items()}
            if (claim := claims.get(row["key"].split("/")[0])) is not None:
                found.append((claim.arms, {**cells, "claim": claim.id, "sentence": claim.sentence, "verdict": kinds[claim.id]}))
        return found

    def digest(self, name: str, items: Sequence[FinishedRun], going: bool) -> str:
        """Of everything that a parent is made of: the results of its whole dataset, of which intervals and verdicts take account.
        ``going``: whether a seed of it is under way."""
        manifest = self.root / REPORT / "manifest.json"
        text = [str(FORMAT), name, str(going), *(item.digest for item in items), sha256(manifest) if manifest.is_file() else ""]
        return hashlib.sha256(" ".join(text).encode()).hexdigest()

    def of(self, name: str) -> Group:
        dataset, method = name.split("/")
        result = next(each for each in self.results.datasets if each.name == dataset)
        estimates = {key: found for key in result.measures if (found := result.estimate(method, key)) is not None}
        runs = result.runs[method]
        metrics: dict[str, float] = {"seeds": len([run for run in runs if run.record]), "seeds_ok": len([run for run in runs if run.ok])}
        for key, estimate in estimates.items():
            metrics[f"mean/{key}"] = estimate.mean
            metrics[f"n/{key}"] = estimate.n_seeds
            if estimate.half_width is not None:
                metrics[f"half_width/{key}"] = estimate.half_width
        tests = [row for arms, row in self.tests if method in arms and row["dataset"] == dataset]
        verdicts = {row["claim"]: row["verdict"] for row in tests}
        tags = {
            NAME: name,
            LEVEL: METHOD,
            "dataset": dataset,
            "method": method,
            "experiment": self.params.experiment,
            **{
                kind: ", ".join(claims)
                for kind in ("SUPPORTED", "CONTRADICTED", "NO MATERIAL DIFFERENCE", "INCONCLUSIVE", "NOT TESTED")
                if (claims := [claim for claim, found in verdicts.items() if found == kind])
            },
            NOTE: _described(result, method, estimates, tests),
        }
        return Group(name, tags, metrics, dict(self._figures(dataset, result, method)))

    def _figures(self, dataset: str, result: DatasetResult, method: str) -> Iterator[tuple[str, Path]]:
        """The seeds' own grids; of the report, the sheets and drawings of this dataset, which show this method beside the others."""
        for run in result.runs[method]:
            if (path := run.folder / "grid.png").is_file() and run.record:
                yield f"grids/seed-{run.seed}.png", path
        if not self.reported:
            return
        for path in sorted((self.root / REPORT / "pictures").glob("*.png")):
            if path.stem.partition("-")[2] == dataset:
                yield f"report/{path.name}", path
        for numbers in sorted((self.root / REPORT / "figures").glob("*.csv")):
            drawing, own = (self.root / DRAWN / f"{numbers.stem}{suffix}" for suffix in (".svg", ".csv"))
            if (
                numbers.stem.partition("-")[2] == dataset
                and drawing.is_file()
                and own.is_file()
                and own.read_bytes() == numbers.read_bytes()
            ):
                yield f"report/{drawing.name}", drawing


def _described(result: DatasetResult, method: str, estimates: Mapping[str, Estimate], tests: Sequence[Mapping[str, str]]) -> str:
    ok, runs = sum(run.ok for run in result.runs[method]), len(result.runs[method])
    lines = [f"**{method}** on **{result.name}**: {ok} of {runs} seeds ended well. Mean ± half-width of the 95% interval:"]
    if estimates:
        rows = [f"| {key} | {_interval(estimate)} | {estimate.n_seeds} |" for key, estimate in list(estimates.items())[:SHOWN]]
        lines.append("\n".join(["| metric | mean | seeds |", "|---|---|---|", *rows]))
    if tests:
        rows = [f"| {row['verdict']} | {row['sentence']} | {row['compared']}: {row['effect']} |" for row in tests]
        lines.append("\n".join(["| verdict on the claim | claim | here |", "|---|---|---|", *rows]))
    return "\n\n".join(lines)[:LONGEST]


def _interval(estimate: Estimate) -> str:
    return stats.format_interval(stats.Interval(mean=estimate.mean, half_width=estimate.half_width, n=estimate.n_seeds))
