"""Which means of two ``results.csv`` differ by more than seeds do. The files were made on two chips, by two versions, or with other budgets
or seeds.

For each dataset, method and measure the difference of the two means over seeds is tested by Welch's t (Biometrika 1947), and the p-values
are Holm-adjusted over all of them.

Why not by pairs of equal seeds? A seed fixes the first weights and the order of the data, but what two chips or versions make of it drifts
apart. Between versions of this project's default experiment the values of equal seeds are correlated by 0.33 to 0.59. Pairing takes away
that share of the variance, and half of the degrees of freedom: with 3 seeds 4 become 2, and at the levels that Holm asks for some hundred
means t has to pass 100 in place of 13. Simulated with 264 means of 3 seeds, correlated by 0.45: a shift of 15 standard deviations is found
in 50% of cases by Welch's test and in 11% in pairs; where nothing moved Welch's test errs in 0.6% of the comparisons (without correlation
in 1.7%), pairs in 5%. ``paired`` is for one kind of question: the same trainings, measured in another way (their correlation is 1).
Differences then hardly vary, and a shift shows that is small beside the spread over seeds.

Where the values are equal in every seed, to the last digit, the runs are the same, and nothing is tested.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scipy.special import stdtr, stdtrit

from cgm.core.errors import UserError
from cgm.core.registry import nearest
from cgm.evaluation import stats
from cgm.report.published import LARGEST
from cgm.report.results import COLUMNS

ALPHA = 1 - stats.LEVEL
RUNS = "results.csv"
NAMES = ("dataset", "method", "metric", "judge", "status")
"""Columns whose cells are shown on the screen."""
Key = tuple[str, str, str, str]
"""Dataset, method, metric, judge."""


@dataclass(frozen=True, kw_only=True)
class Values:
    """Of one file: value by key and seed, of what has any; and the runs that have none, with their status."""

    by_key: Mapping[Key, Mapping[int, float]]
    broken: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Move:
    """``half_width``: of the 95% interval of the difference b − a; it and ``p`` are None where there are too few seeds to tell."""

    dataset: str
    method: str
    metric: str
    judge: str
    a: float
    b: float
    n_a: int
    n_b: int
    difference: float
    half_width: float | None
    p: float | None
    p_adjusted: float | None

    @property
    def moved(self) -> bool:
        return self.p_adjusted is not None and self.p_adjusted < ALPHA


@dataclass(frozen=True, kw_only=True)
class Comparison:
    moves: list[Move]
    """By key: every mean that both files have, but for equal ones."""
    equal: int
    """Means of the same values in every seed."""
    only_a: list[Key]
    only_b: list[Key]
    broken_a: Mapping[str, str]
    broken_b: Mapping[str, str]
    untrained: tuple[float, Key] | None
    """The largest relative difference of a baseline or a floor, and where; None where the files have none in common."""

    @property
    def nothing(self) -> bool:
        """Whether the files have no mean in common: neither a training's nor a baseline's."""
        return not self.moves and not self.equal and self.untrained is None

    @property
    def moved(self) -> list[Move]:
        return [move for move in self.moves if move.moved]

    @property
    def untold(self) -> list[Move]:
        return [move for move in self.moves if move.p is None]

    @property
    def smallest_seen(self) -> float | None:
        """How large a shift has to be, in standard deviations over seeds, for the first of these means to count as moved: at Holm's
        strictest level, by Welch's test, for the fewest seeds among them and equal spread in both files. None where nothing was tested."""
        tested = [move for move in self.moves if move.p is not None]
        if not tested:
            return None
        n_a, n_b = min((move.n_a, move.n_b) for move in tested)
        return float(stdtrit(n_a + n_b - 2, 1 - ALPHA / len(tested) / 2)) * math.sqrt(1 / n_a + 1 / n_b)


def read(path: Path) -> Values:
    """Of a results.csv, or of the one in a report's folder. Raises :class:`UserError`."""
    path = path / RUNS if path.is_dir() else path
    by_key: dict[Key, dict[int, float]] = {}
    broken: dict[str, str] = {}
    for number, row in _lines(path):
        try:
            seed, value = int(row["seed"]), float(row["value"]) if row["value"] else None
        except ValueError as error:
            raise UserError(f"{path}: line {number}: {error}; expected a whole seed, and a number or nothing as value") from None
        if value is not None and not abs(value) <= LARGEST:
            raise UserError(f"{path}: line {number}: value: found {value}, expected a finite number of at most {LARGEST:g}, or nothing")
        if value is None:
            if row["status"] not in ("ok", "not_measured"):
                broken[f"{row['dataset']}/{row['method']}/{seed}"] = row["status"]
            continue
        seeds = by_key.setdefault((row["dataset"], row["method"], row["metric"], row["judge"]), {})
        if seed in seeds:
            raise UserError(f"{path}: line {number}: {row['dataset']}, {row['method']}, {row['metric']}, seed {seed} is there twice")
        seeds[seed] = value
    return Values(by_key=by_key, broken=broken)


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row by its columns, with the number of the line that it ends in."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # a spreadsheet puts a byte-order mark in front
            reader = csv.reader(file)
            header = next(reader, [])
            if missing := [name for name in COLUMNS if header.count(name) != 1]:
                times = "more than one" if missing[0] in header else "no"
                raise UserError(f"{path}: found {times} column {missing[0]}, expected {','.join(COLUMNS)}, as a report's results.csv has")
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(header):
                    found = f"{len(cells)} cell{'s' * (len(cells) != 1)}"
                    raise UserError(f"{path}: line {reader.line_num}: found {found}, expected {len(header)}; is the file whole?")
                row = dict(zip(header, cells, strict=True))
                if strange := [name for name in NAMES if not row[name].isprintable()]:
                    what = f"{strange[0]}: found {row[strange[0]]!r}"
                    raise UserError(f"{path}: line {reader.line_num}: {what}, expected a name without control characters")
                yield reader.line_num, row
    except FileNotFoundError:
        raise UserError(f"{path}: not found; expected a report's results.csv, or the report's folder") from None
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); expected a report's results.csv, or the report's folder") from None
    except (UnicodeDecodeError, csv.Error) as error:
        what = "no text" if isinstance(error, UnicodeDecodeError) else f"no CSV ({error})"
        raise UserError(f"{path}: {what}; expected a report's results.csv") from None


def chosen(values: Values, names: Mapping[str, Collection[str]]) -> Values:
    """What has one of the ``names`` as its dataset, method or metric; an empty collection leaves that open."""
    places = {name: place for place, name in enumerate(("dataset", "method", "metric"))}
    kept = {
        key: found
        for key, found in values.by_key.items()
        if all(not wanted or key[places[what]] in wanted for what, wanted in names.items())
    }
    broken = {
        run: status
        for run, status in values.broken.items()
        if all(not wanted or what == "metric" or run.split("/")[places[what]] in wanted for what, wanted in names.items())
    }
    return Values(by_key=kept, broken=broken)


def check_names(values: Collection[Values], names: Mapping[str, Collection[str]]) -> None:
    """Raises :class:`UserError` for a name that no file has."""
    for place, what in enumerate(("dataset", "method", "metric")):
        known = sorted({key[place] for each in values for key in each.by_key})
        for name in names.get(what, ()):
            if name not in known:
                raise UserError(f"--{what} {name}: in neither file{nearest(name, known)}")


def compare(a: Values, b: Values, *, paired: bool = False) -> Comparison:
    """``paired``: by the seeds that both have, for the same trainings measured in another way."""
    common = [key for key in a.by_key if key in b.by_key]
    trained = [key for key in common if not _untrained(key)]
    apart = [key for key in trained if a.by_key[key] != b.by_key[key]]
    tested = [_tested(a.by_key[key], b.by_key[key], paired) for key in apart]
    adjusted = iter(stats.holm([p for *_, p in tested if p is not None]))
    moves = []
    for key, (mean_a, mean_b, n_a, n_b, half_width, p) in zip(apart, tested, strict=True):
        dataset, method, metric, judge = key
        moves.append(
            Move(
                dataset=dataset,
                method=method,
                metric=metric,
                judge=judge,
                a=mean_a,
                b=mean_b,
                n_a=n_a,
                n_b=n_b,
                difference=mean_b - mean_a,
                half_width=half_width,
                p=p,
                p_adjusted=None if p is None else next(adjusted),
            )
        )
    references = [(_relative(a.by_key[key], b.by_key[key]), key) for key in common if _untrained(key)]
    return Comparison(
        moves=moves,
        equal=len(trained) - len(apart),
        only_a=[key for key in a.by_key if key not in b.by_key],
        only_b=[key for key in b.by_key if key not in a.by_key],
        broken_a=a.broken,
        broken_b=b.broken,
        untrained=max(references, key=lambda found: found[0], default=None),
    )


def _untrained(key: Key) -> bool:
    """Whether it is a baseline or a floor, which no seed of a training changes."""
    return ":" in key[1]


def _relative(a: Mapping[int, float], b: Mapping[int, float]) -> float:
    mean_a, mean_b = (math.fsum(values.values()) / len(values) for values in (a, b))
    largest = max(abs(mean_a), abs(mean_b))
    return abs(mean_b - mean_a) / largest if largest else 0.0


def _tested(a: Mapping[int, float], b: Mapping[int, float], paired: bool) -> tuple[float, float, int, int, float | None, float | None]:
    """Means, numbers of seeds, half-width of the difference's interval, p."""
    if paired:
        common = sorted(a.keys() & b.keys())
        a, b = {seed: a[seed] for seed in common} or a, {seed: b[seed] for seed in common} or b
        error, degrees = _spread([b[seed] - a[seed] for seed in common]) if len(common) > 1 else (None, 0.0)
    else:
        error, degrees = _welch(list(a.values()), list(b.values()))
    mean_a, mean_b = (math.fsum(values.values()) / len(values) for values in (a, b))
    if error is None:
        return mean_a, mean_b, len(a), len(b), None, None
    difference = mean_b - mean_a
    if error == 0:
        return mean_a, mean_b, len(a), len(b), 0.0, 0.0 if difference else 1.0
    half_width = error * float(stdtrit(degrees, (1 + stats.LEVEL) / 2))
    return mean_a, mean_b, len(a), len(b), half_width, min(1.0, 2 * float(stdtr(degrees, -abs(difference) / error)))


def _welch(a: list[float], b: list[float]) -> tuple[float | None, float]:
    """Standard error of the difference of means and its degrees of freedom (Satterthwaite); None for one seed in either."""
    if min(len(a), len(b)) < 2:
        return None, 0.0
    (one, n), (other, m) = ((_spread(values)[0] ** 2, len(values) - 1) for values in (a, b))
    total = one + other
    return math.sqrt(total), total**2 / (one**2 / n + other**2 / m) if total else float(n + m)


def _spread(values: list[float]) -> tuple[float, float]:
    """Standard error of the mean, and its degrees of freedom."""
    if max(values) == min(values):  # rounding of the mean must not look like variation
        return 0.0, float(len(values) - 1)
    mean = math.fsum(values) / len(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return math.sqrt(squares / (len(values) - 1) / len(values)), float(len(values) - 1)
