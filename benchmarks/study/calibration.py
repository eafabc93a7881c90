"""How often intervals hold the truth, on simulated runs whose truth is known: ``python -m benchmarks.study.calibration --write``.

Renews the section "calibration" of ``docs/metrics.md`` and the figure in it. What the benchmark uses is called as the benchmark calls it;
what that is compared with is written here.
"""

from __future__ import annotations

import argparse
import datetime
import io
import itertools
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image
from scipy.special import stdtr, stdtrit

from benchmarks.page import ROOT, machine, progress, renew_section, table
from benchmarks.study.simulated import DATA, FEATURES, LARGEST, REALS, SETS, SHARES, SPREADS, Images, outputs, per_image
from cgm.core.seeds import numpy_generator
from cgm.evaluation.stats import LEVEL
from cgm.evaluation.uncertainty import Measured, crossed, difference, jackknife_variance, means_left_out

PAGE = Path("docs/metrics.md")
FIGURE = Path("docs/pictures/calibration.png")
COLOURS = ("#0072b2", "#999999", "#d55e00", "#009e73")
BAND = "#e4e6ea"
CAPTION = "How often each kind of interval holds the truth, one tick a case: near 95% only where both seeds and images count"
COMMAND = "benchmarks.study.calibration"
SEEDS = (3, 5, 10)
COUNTS = (50, 100, 400)
"""Test images."""
SET_COUNT = 100
REPLICATES, SET_REPLICATES, FAMILIES = 2000, 800, 1000
"""Simulated data sets of means and of set metrics, and families of methods."""
BOOTSTRAPPED, SET_BOOTSTRAPPED = 400, 100
"""Of them, those of means and of set metrics that are bootstrapped."""
RESAMPLES = 300
METHODS = {
    "seeds": "t over seeds",
    "images": "bootstrap of images",
    "both": "bootstrap of both",
    "satterthwaite": "Satterthwaite",
    "ours": "seeds and images",
}
GOAL = (0.93, 0.97)
RIVALS = 9
PAIRS = (RIVALS + 1) * RIVALS // 2
EFFECTS = (3, 6)
"""True differences, in standard errors."""
ALPHA = 1 - LEVEL


@dataclass(frozen=True)
class Cell:
    """``coverage``: of the 95% interval, by method."""

    data: str
    dominates: str
    seeds: int
    count: int
    coverage: dict[str, float]


def coverage(values: np.ndarray, left_out: np.ndarray, sizes: np.ndarray, resampled: np.ndarray, truth: float) -> dict[str, float]:
    """By method. R×S values, R×S×G without a group, and r×S×B on resampled images, r ≤ R."""
    seeds = values.shape[1]
    means = values.mean(1)
    seed_part = values.var(1, ddof=1) / seeds
    image_part = jackknife_variance(means, left_out.mean(1), sizes)
    interaction = (jackknife_variance(values, left_out, sizes).mean(1) - image_part) / (seeds - 1)
    variance = np.maximum(seed_part + image_part - interaction, np.maximum(seed_part, image_part))
    degrees = variance**2 / (
        seed_part**2 / (seeds - 1) + image_part**2 / (len(sizes) - 1) + interaction**2 / (seeds - 1) / (len(sizes) - 1)
    )
    ours = np.array([crossed(*pair, sizes).half_width or 0.0 for pair in zip(values, left_out, strict=True)])
    half_widths = {
        "seeds": _quantile(np.array(seeds - 1)) * np.sqrt(seed_part),
        "satterthwaite": _quantile(degrees) * np.sqrt(variance),
        "ours": ours,
    }
    found = {method: float((np.abs(means - truth) <= half).mean()) for method, half in half_widths.items()}
    drawn = numpy_generator("simulated", "", seeds, "calibration/seeds").multinomial(seeds, np.full(seeds, 1 / seeds), resampled.shape[2])
    for method, draws in (("images", resampled.mean(1)), ("both", np.einsum("rsb,bs->rb", resampled, drawn) / seeds)):
        low, high = np.quantile(draws, [ALPHA / 2, 1 - ALPHA / 2], axis=1)
        found[method] = float(((low <= truth) & (truth <= high)).mean())
    return found


def of_means(replicates: int, bootstrapped: int) -> Iterator[Cell]:
    for data, dominates, seeds, count in itertools.product(DATA, SHARES, SEEDS, COUNTS):
        generator = numpy_generator("simulated", f"{data}/{dominates}", seeds, f"calibration/{count}")
        images = Images.of(count, data == "crops", generator)
        parts = []
        for start in range(0, replicates, bootstrapped):
            values = per_image(data, SHARES[dominates], images, (min(bootstrapped, replicates - start), seeds), generator)
            parts.append((values.mean(-1), means_left_out(values, images.groups)))
            if not start:
                resampled = values @ _drawn(count, generator).T / count
        values, left_out = (np.concatenate(part) for part in zip(*parts, strict=True))
        yield Cell(data, dominates, seeds, count, coverage(values, left_out, images.sizes, resampled, 0.0))


def of_sets(replicates: int, bootstrapped: int) -> Iterator[Cell]:
    """The truth is the mean over all simulated data sets, since a set metric's true value depends on the number of images."""
    real = numpy_generator("simulated", "", 0, "calibration/reals").standard_normal((REALS, FEATURES))
    for (name, metric), dominates, seeds in itertools.product(SETS.items(), SPREADS, SEEDS):
        generator = numpy_generator("simulated", f"{name}/{dominates}", seeds, "calibration/sets")
        images = Images.of(SET_COUNT, False, generator)
        plain = np.concatenate([np.ones((1, SET_COUNT)), images.left_out()])
        more = np.concatenate([plain, _drawn(SET_COUNT, generator)])
        parts = []
        for number in range(replicates):
            weights = more if number < bootstrapped else plain
            parts.append(metric(outputs(SPREADS[dominates], seeds, SET_COUNT, generator), real, weights))
        values = np.stack([part[:, : len(plain)] for part in parts])
        resampled = np.stack([part[:, len(plain) :] for part in parts[:bootstrapped]])
        truth = float(values[..., 0].mean())
        yield Cell(name, dominates, seeds, SET_COUNT, coverage(values[..., 0], values[..., 1:], images.sizes, resampled, truth))


def false_alarms(families: int) -> list[list[str]]:
    """Rows of a table: of ten equal methods, how often one of nine is called better or worse, by today's test and by ours."""
    rows = []
    for dominates, seeds in itertools.product(SHARES, SEEDS):
        generator = numpy_generator("simulated", f"families/{dominates}", seeds, "calibration")
        images = Images.of(SET_COUNT, False, generator)
        alarms = np.zeros(5)
        for _ in range(families):
            methods = per_image("normal", SHARES[dominates], images, (RIVALS + 1, seeds), generator)
            values, left_out = methods.mean(-1), means_left_out(methods, images.groups)
            least = []
            for chosen in (0, int(values.mean(1).argmin())):
                others = [one for one in range(RIVALS + 1) if one != chosen]
                least.append(np.min([_p_values(values[[one, chosen]], left_out[[one, chosen]], images.sizes) for one in others], axis=0))
            # Holm's first step; if nothing passes it nothing is called different
            alarms += np.append(np.ravel(least) < ALPHA / RIVALS, least[1][1] < ALPHA / PAIRS)
        rows.append([dominates, f"{seeds}", *map(_percent, alarms / families)])
        progress("families", *rows[-1])
    return rows


def power(replicates: int) -> list[list[str]]:
    """Rows of a table: how often a true difference is found, alone and as the first of nine."""
    rows = []
    for dominates, seeds in itertools.product(SHARES, SEEDS):
        generator = numpy_generator("simulated", f"power/{dominates}", seeds, "calibration")
        images = Images.of(SET_COUNT, False, generator)
        methods = per_image("normal", SHARES[dominates], images, (replicates, 2, seeds), generator)
        left_out = means_left_out(methods, images.groups)
        row = [dominates, f"{seeds}"]
        for effect in EFFECTS:
            shift = np.array([[effect * math.sqrt(2)], [0]])  # the mean of each has variance 1
            p = np.array(
                [_p_values(*pair, images.sizes) for pair in zip(methods.mean(-1) + shift, left_out + shift[..., None], strict=True)]
            )
            row += [_percent(float((p[:, column] < limit).mean())) for limit in (ALPHA, ALPHA / RIVALS) for column in (0, 1)]
        rows.append(row)
        progress("power", *row)
    return rows


def coverage_table(cells: Sequence[Cell]) -> str:
    """Per cent, over all numbers of images; all methods at the fewest seeds and the most, ours at those between as well."""
    head = ["data", "dominates"]
    for seeds in (SEEDS[0], SEEDS[-1]):
        head += [f"{seeds} seeds: {METHODS[method]}" for method in METHODS]
    head.append(f"{SEEDS[1]} seeds: {METHODS['ours']}")
    rows = []
    for (data, dominates), group in itertools.groupby(cells, key=lambda cell: (cell.data, cell.dominates)):
        found = list(group)

        def mean(method: str, seeds: int, found: list[Cell] = found) -> str:
            return _percent(statistics.fmean(cell.coverage[method] for cell in found if cell.seeds == seeds))

        rows.append(
            [data, dominates, *(mean(method, seeds) for seeds in (SEEDS[0], SEEDS[-1]) for method in METHODS), mean("ours", SEEDS[1])]
        )
    return table(head, rows)


def outside(cells: Sequence[Cell]) -> str:
    """Where ours misses the goal."""
    lines: dict[str, list[str]] = {"Too short": [], "Too long": []}
    for key, group in itertools.groupby(cells, key=lambda cell: (cell.data, cell.dominates, f"{cell.seeds} seeds")):
        found = [cell.coverage["ours"] for cell in group]
        for title, missed in (
            ("Too short", [one for one in found if one < GOAL[0]]),
            ("Too long", [one for one in found if one > GOAL[1]]),
        ):
            if missed:
                lines[title].append(f"{', '.join(key)}: {'–'.join(dict.fromkeys(map(_percent, (min(missed), max(missed)))))}")
    return "\n".join(f"- {title}: {'; '.join(texts) or 'nowhere'}." for title, texts in lines.items())


def draw(cells: Sequence[Cell]) -> bytes:
    """A strip of coverages for each method, as PNG of few colours; the same numbers give the same picture."""
    with mpl.rc_context({"font.size": 8}):
        figure = Figure(figsize=(7.2, 3.4), dpi=104, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        rows = list(itertools.product(METHODS, SEEDS))
        heights = [place + place // len(SEEDS) * 0.6 for place in range(len(rows))]
        axes.axvspan(100 * GOAL[0], 100 * GOAL[1], color=BAND, linewidth=0)
        axes.axvline(100 * LEVEL, color="#6a7078", linewidth=0.8)
        for dominates, colour in zip(SHARES, COLOURS, strict=True):
            ticks = [
                (float(_percent(cell.coverage[method])), height + end)
                for height, (method, seeds) in zip(heights, rows, strict=True)
                for cell in cells
                if cell.dominates == dominates and cell.seeds == seeds
                for end in (-0.35, 0.35, math.nan)
            ]
            axes.plot(*zip(*ticks, strict=True), color=colour, linewidth=0.9, solid_capstyle="butt", label=dominates)
        axes.set_yticks(heights, [f"{METHODS[method]}, {seeds} seeds" for method, seeds in rows])
        axes.invert_yaxis()
        axes.set(xlim=(0, 100), xlabel=f"coverage of the {100 * LEVEL:.0f}% interval, per cent")
        axes.legend(title="dominates", loc="lower left", frameon=False)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        figure.savefig(file := io.BytesIO(), format="png")
    palette = Image.new("P", (1, 1))
    ink = np.array([to_rgb(colour) for colour in ("#000000", *COLOURS)])[:, None]
    blends = 1 - np.linspace(0, 1, 4)[:, None] * (1 - ink)
    palette.putpalette([*np.rint(255 * np.append(blends, to_rgb(BAND))).astype(int)])
    picture = Image.open(file).convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE)
    picture.save(file := io.BytesIO(), format="png", optimize=True)
    return file.getvalue()


def section(cells: Sequence[Cell], alarms: Sequence[Sequence[str]], powers: Sequence[Sequence[str]], arguments: argparse.Namespace) -> str:
    found = [cell.coverage["ours"] for cell in cells]
    inside = sum(GOAL[0] <= one <= GOAL[1] for one in found)
    both = ("t over seeds", "seeds and images")
    tests = [f"{kind}, {test}" for kind in ("a given one", "the best") for test in both]
    finds = [f"{effect} SE{first}, {test}" for effect in EFFECTS for first in ("", f", first of {RIVALS}") for test in both]
    errors = (arguments.replicates, arguments.set_replicates, BOOTSTRAPPED, SET_BOOTSTRAPPED)
    seeds, counts = (", ".join(map(str, those)) for those in (SEEDS, COUNTS))
    parts = [
        "### Coverage of intervals over seeds and images",
        f"Simulated, so that the truth is known: {seeds} trainings, all measured on the same test images.\n"
        f"The first data are means over {counts} images, the last set metrics of {SET_COUNT} images with {FEATURES} features.\n"
        "*Dominates*: what most of the variance of the mean comes from; *interaction* is what one training makes of one image.\n"
        "To recall images matter most in all three of its rows.\n"
        f"*Crops*: 1 to {LARGEST} of one photograph, and alike. *Skewed images* are log-normal, *skewed seeds* exponential.\n"
        "The bootstraps are percentile intervals and resample images one by one.\n"
        "Standard error near 95%, in points: {} for a mean, {} for a set metric, {} and {} where they are bootstrapped.\n".format(
            *(_error(count) for count in errors)
        )
        + f"Renewed by `python -m {COMMAND} --write`; {machine()}; {datetime.date.today().isoformat()}.",
        f"![{CAPTION}](pictures/{FIGURE.name})",
        "Per cent of the 95% intervals that hold the truth, over all numbers of images:",
        coverage_table(cells),
        f"*Seeds and images* is within {100 * GOAL[0]:.0f}–{100 * GOAL[1]:.0f}% in {inside} of {len(found)} cases,"
        f" at least {_percent(min(found))} and at most {_percent(max(found))}.\nOutside, with the range over the numbers of images:",
        outside(cells),
        f"**False alarms.** Per cent of families of {RIVALS + 1} equal methods ({SET_COUNT} images) in which some difference is significant"
        f" at 5% after Holm\nover {RIVALS} comparisons: of a method chosen beforehand with the others, and of the one that came out best;"
        f" of that one also after\nHolm over all {PAIRS} pairs. Standard error near 5%: {_error(arguments.families)} points.",
        table(["dominates", "seeds", *tests, f"the best, all {PAIRS} pairs, {both[1]}"], alarms),
        "**Power.** Per cent of true differences of so many standard errors (SE) that are found at 5%:"
        f" alone, and as the first of {RIVALS} in Holm's order.",
        table(["dominates", "seeds", *finds], powers),
    ]
    return "\n\n".join(parts)


def _p_values(values: np.ndarray, left_out: np.ndarray, sizes: np.ndarray) -> tuple[float, float]:
    """Of the difference of two methods (2×S, 2×S×G): by the paired t-test over seeds, and by seeds and images."""
    apart = values[0] - values[1]
    seeds = len(apart)
    t = abs(apart.mean()) / (apart.std(ddof=1) / math.sqrt(seeds))
    a, b = (
        {seed: Measured(value=v, left_out=out) for seed, (v, out) in enumerate(zip(*one, strict=True))}
        for one in zip(values, left_out, strict=True)
    )
    found = difference(a, b, sizes, "lower")
    assert found is not None
    assert found.p is not None
    return float(2 * stdtr(seeds - 1, -t)), found.p


def _drawn(count: int, generator: np.random.Generator) -> np.ndarray:
    """Weights of resampled images, RESAMPLES×N."""
    return generator.multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(float)


def _quantile(degrees: np.ndarray) -> np.ndarray:
    return np.asarray(stdtrit(degrees, (1 + LEVEL) / 2))


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _error(replicates: int) -> str:
    return f"{100 * math.sqrt(ALPHA * LEVEL / replicates):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog=f"python -m {COMMAND}", description="How often intervals hold the truth.")
    for name, value in (("replicates", REPLICATES), ("set-replicates", SET_REPLICATES), ("families", FAMILIES)):
        parser.add_argument(f"--{name}", type=int, default=value, help="simulated data sets (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help=f"renew the section in {PAGE} and {FIGURE}; otherwise the section is printed")
    arguments = parser.parse_args()
    cells = []
    for cell in itertools.chain(
        of_means(arguments.replicates, min(BOOTSTRAPPED, arguments.replicates)),
        of_sets(arguments.set_replicates, min(SET_BOOTSTRAPPED, arguments.set_replicates)),
    ):
        cells.append(cell)
        shown = (f"{method} {_percent(share)}" for method, share in cell.coverage.items())
        progress(cell.data, cell.dominates, f"{cell.seeds} seeds", f"{cell.count} images", *shown)
    text = section(cells, false_alarms(arguments.families), power(arguments.replicates), arguments)
    if arguments.write:
        (ROOT / FIGURE).parent.mkdir(exist_ok=True)
        (ROOT / FIGURE).write_bytes(draw(cells))
        renew_section("calibration", text, ROOT / PAGE)
    else:
        print(text)


if __name__ == "__main__":
    main()
