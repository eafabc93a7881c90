"""What each metric sees, on generators of known faults: ``python -m benchmarks.study.discrimination --write``.

Renews the generated sections of ``docs/metrics.md``: the table of generators × metrics, the tolerances and the specifications. All numbers
come from the library's own functions. ``tests/oracle/test_discrimination.py`` asserts the tolerances.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.page import ROOT, machine, renew_section, table
from benchmarks.study.generators import GENERATORS, HELD, SOURCE, Pool, Split, load_pool, outputs, random_split
from benchmarks.study.tolerances import CLAIMS, PARITY, STABLE
from cgm.core.seeds import numpy_generator
from cgm.data.images import to_float, to_uint8
from cgm.evaluation.evaluate import distribution_scores
from cgm.evaluation.judges import BATCH, SIZE, Judge, load_judge
from cgm.evaluation.look import BLOCK
from cgm.evaluation.metrics import METRICS
from cgm.evaluation.metrics.colourfulness_ratio import colourfulness_ratio
from cgm.evaluation.metrics.derangement import derangement
from cgm.evaluation.metrics.fid import fid
from cgm.evaluation.metrics.fjd import fjd
from cgm.evaluation.metrics.gradient_ratio import gradient_ratio
from cgm.evaluation.metrics.highfreq_ratio import highfreq_ratio
from cgm.evaluation.metrics.kid import kid
from cgm.evaluation.metrics.mae import mae
from cgm.evaluation.metrics.pairgain import pairgain
from cgm.evaluation.metrics.pd import pd
from cgm.evaluation.metrics.retrieval import retrieval
from cgm.evaluation.metrics.spectrum_distance import spectrum_distance
from cgm.evaluation.metrics.ssim import ssim
from cgm.evaluation.reference import Reals, reals_of
from cgm.evaluation.stats import format_number
from cgm.experiment.settings import Evaluation

PAGE = Path("docs/metrics.md")
COUNT = 400
"""Test pairs."""
SPLITS = 12
"""Random splits behind a range."""
CONFIG = Evaluation(lpips="off")
PAIR_SHIFTS = 2
"""Mean pairwise PD is taken over so many others of each output."""
Rows = dict[str, dict[str, float]]
"""Generator → column → value."""
COLUMNS = {
    "mae": ("MAE", 3),
    "ssim": ("SSIM", 2),
    "pd": ("PD", 2),
    "pairgain": ("pairgain", 2),
    "retrieval": ("retrieval@1", 2),
    "highfreq_log2": ("log₂ high-freq.", 1),
    "gradient_ratio": ("gradient", 2),
    "colourfulness_ratio": ("colourfulness", 2),
    "spectrum_distance": ("spectrum distance", 2),
    "pairwise_pd": ("pairwise PD", 2),
    "kid": ("KID×10³", 1),
    "kid_low": ("KID×10³ from", 1),
    "kid_high": ("to", 1),
    "fid": ("FD", 0),
    "fjd": ("FJD", 0),
    "fid_test": ("FD, test", 0),
    "fjd_test": ("FJD, test", 0),
    "precision": ("precision", 2),
    "recall": ("recall", 2),
    "density": ("density", 2),
    "coverage": ("coverage", 2),
    "vendi_ratio": ("Vendi ÷ real", 2),
    "jsd": ("JSD", 3),
    "ndb": ("NDB ÷ bins", 2),
    "distinct_share": ("distinct", 2),
    "near_duplicate_share": ("near duplicates", 2),
}
"""Column → title and decimals."""
PAIRED = tuple(COLUMNS)[: tuple(COLUMNS).index("kid")]
MARGINAL = tuple(COLUMNS)[len(PAIRED) :]
RESIZED = (HELD, "noise 0.02", "blur σ 1", "regression")
THOUSANDTHS = ("kid", "kid_low", "kid_high")


class Looker:
    """A judge that looks at each distinct image once, since generators and splits share most of their images."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self._features: dict[bytes, np.ndarray] = {}
        self._embeddings: dict[bytes, Tensor] = {}

    def features(self, images: np.ndarray) -> np.ndarray:
        """uint8 N×H×W×3 → float32 N×D."""
        keys = _keys(images)
        missing = {key: index for index, key in enumerate(keys) if key not in self._features}
        if missing:
            self._features.update(zip(missing, self.judge.features(images[list(missing.values())]), strict=True))
        return np.stack([self._features[key] for key in keys])

    def embeddings(self, images: np.ndarray, keep: bool = False) -> Tensor:
        """Perceptual embeddings N×P of one batch; they are large, and remembered only on demand (``keep``)."""
        keys = _keys(images)
        fresh: dict[bytes, Tensor] = {}
        if missing := {key: index for index, key in enumerate(keys) if key not in self._embeddings}:
            features, embeddings = self.judge.look(images[list(missing.values())])
            self._features.update(zip(missing, features, strict=True))
            fresh.update(zip(missing, embeddings, strict=True))
        if keep:
            self._embeddings |= fresh
        return torch.stack([fresh[key] if key in fresh else self._embeddings[key] for key in keys])


@dataclass(frozen=True)
class Setting:
    """A split as the judge sees it: what all generators' outputs are compared with."""

    number: int
    split: Split
    reals: Reals
    train_condition_features: np.ndarray
    condition_features: np.ndarray
    target_features: np.ndarray

    @classmethod
    def of(cls, pool: Pool, looker: Looker, number: int, count: int = COUNT) -> Setting:
        split = random_split(pool, number, count)
        reals = reals_of(looker.features(split.train), CONFIG, numpy_generator(SOURCE, "", number, "benchmarks/reals"))
        train_conditions, conditions, targets = (looker.features(x) for x in (split.train_conditions, split.conditions, split.targets))
        return cls(number, split, reals, train_conditions, conditions, targets)


def marginal(images: np.ndarray, setting: Setting, looker: Looker) -> dict[str, float]:
    """What compares sets of features: with the train targets' and, for the Fréchet distances, also with the test targets'."""
    features, reals = looker.features(images), setting.reals.features
    scores = distribution_scores(
        images,
        features,
        setting.reals,
        CONFIG,
        looker.judge,
        lambda purpose: numpy_generator(SOURCE, "", setting.number, "benchmarks/interval"),
        real_images=lambda: setting.split.train,
    )
    values = {name: score.value for name, score in scores.items() if score.value is not None}
    values["kid_low"], values["kid_high"] = scores["kid"].interval or (nan, nan)
    values["fjd"] = fjd(features, setting.condition_features, reals, setting.train_condition_features)
    values["fid_test"] = fid(features, setting.target_features)
    values["fjd_test"] = fjd(features, setting.condition_features, setting.target_features, setting.condition_features)
    return values


def paired_columns(images: np.ndarray, setting: Setting, looker: Looker) -> dict[str, float]:
    """What compares each output with its own target; and the mean perceptual distance between outputs."""
    targets = setting.split.targets
    generator = numpy_generator(SOURCE, "", setting.number, "benchmarks/order")
    own, other, among = [], [], []
    for block in derangement(len(images), generator, BLOCK):
        embeddings, target_embeddings = looker.embeddings(images[block]), looker.embeddings(targets[block], keep=True)
        own.append(pd(embeddings, target_embeddings))
        other.append(pd(embeddings, target_embeddings.roll(-1, 0)))
        among += [pd(embeddings, embeddings.roll(shift, 0)) for shift in range(1, PAIR_SHIFTS + 1)]
    distances = np.concatenate(own)
    return {
        "mae": mae(images, targets).mean(),
        "ssim": ssim(images, targets).mean(),
        "pd": distances.mean(),
        "pairgain": pairgain(distances, np.concatenate(other)),
        "retrieval": retrieval(looker.features(images), setting.target_features).mean(),
        "pairwise_pd": np.concatenate(among).mean(),
        "highfreq_log2": np.log2(np.median(highfreq_ratio(images, targets))),
        "gradient_ratio": np.median(gradient_ratio(images, targets)),
        "colourfulness_ratio": np.median(colourfulness_ratio(images, targets)),
        "spectrum_distance": spectrum_distance(images, targets),
    }


def discriminate(setting: Setting, looker: Looker) -> Rows:
    """All columns of all generators on one split."""
    rows: Rows = {}
    for name in GENERATORS:
        images = outputs(name, setting.split, setting.number)
        rows[name] = {
            key: float(value) for key, value in (paired_columns(images, setting, looker) | marginal(images, setting, looker)).items()
        }
        print(name, *(f"{key} {_format(key, rows[name][key])}" for key in COLUMNS), sep="  ", file=sys.stderr, flush=True)
    return rows


def marginal_rows(pool: Pool, looker: Looker, number: int, count: int = COUNT) -> Rows:
    """The columns that look at features alone, of the generators with a stable range, on the ``number``-th split."""
    setting = Setting.of(pool, looker, number, count)
    return {name: marginal(outputs(name, setting.split, number), setting, looker) for name in {claim.generator: None for claim in STABLE}}


def discrimination_table(rows: Rows, count: int, trained: int) -> str:
    pairs = f"{2 * count + trained} pairs cut at random into {count} test pairs, {count} held-out targets and {trained} train pairs"
    parts = [
        "### What each metric says of generators whose faults are known",
        f"OpenMoji (variant base) at 64 px, judge {CONFIG.judge}; the {pairs}.\n"
        "KID, FD, FJD, JSD and NDB compare with all train targets, the neighbourhoods, Vendi and near duplicates with"
        f" {min(count, trained)} of\nthem (k = {CONFIG.neighbours}); *test*: with the test targets themselves."
        " Ratios are output ÷ target, the median over the images.\n"
        f"Renewed by `python -m benchmarks.study.discrimination --write`; {machine()}; {datetime.date.today().isoformat()}.",
        "Against the own target, and (pairwise PD) among the outputs:",
        _rows(rows, PAIRED),
        "As a set, KID with its 95% interval:",
        _rows(rows, MARGINAL),
    ]
    return "\n\n".join(parts)


def resize_table(setting: Setting, rows: Rows, judge: Judge) -> str:
    """KID of the same images where it isn't the judge's own resize that enlarges them."""

    def features(images: np.ndarray) -> np.ndarray:
        return judge.features(_bilinear(images))

    real = features(setting.split.train)
    lines = []
    for name in RESIZED:
        values = rows[name]["kid"], kid(features(outputs(name, setting.split, setting.number)), real)
        lines.append([name, *(_format("kid", value) for value in values)])
    return (
        f"### KID×10³ by the resize to the judge's {SIZE} px\n\n"
        "The same images, enlarged by the judge's antialiased bicubic filter and by a bilinear one, which blurs real images too.\n\n"
        + table(["generator", "bicubic (the judge's)", "bilinear"], lines)
    )


def tolerance_tables(rows: Rows, splits: Sequence[Rows]) -> str:
    """What is asserted: claims, stable ranges, parity."""
    claims = []
    for metric, (title, _) in COLUMNS.items():
        scale = 1000 if metric in THOUSANDTHS else 1
        of_metric = [claim for claim in CLAIMS if claim.metric == metric]
        seen, unseen = ("; ".join(claim.text(scale) for claim in of_metric if claim.sees is sees) for sees in (True, False))
        if seen or unseen:
            floors = [split[HELD][metric] for split in splits if metric in split[HELD]] or [rows[HELD][metric]]
            claims.append([title, seen, unseen, _span(metric, floors)])
    stable = [
        [
            f"{COLUMNS[claim.metric][0]}, {claim.generator}",
            _span(claim.metric, [split[claim.generator][claim.metric] for split in splits]),
            _span(claim.metric, [claim.low, claim.high]),
            _span(claim.metric, claim.study),
            claim.why,
        ]
        for claim in STABLE
    ]
    parts = [
        "### Tolerances",
        "Each is asserted by `tests/oracle/test_discrimination.py`. What must be seen was known beforehand; the bounds were set,"
        " with a margin,\nwith the table in view."
        f" *Floor*: held-out real ({len(splits)} random splits; one where a metric needs the pictures' own targets).",
        table(["metric", "must see", "must not see", "floor"], claims, numbers=False),
        f"### Stable ranges\n\nLowest and highest of {len(splits)} random splits; what is asserted of each of them, which is"
        " the measured range rounded\noutwards (joined with the study's where they overlap); and what the study before this benchmark"
        " found on 6 splits of other pictures.",
        table(["metric, generator", "measured", "asserted", "study", "why they differ"], stable, numbers=False),
        "### Parity\n\nThe largest difference from an independent implementation that a test lets pass.",
        table(["metric", "oracle", "tolerance"], PARITY, numbers=False),
    ]
    return "\n\n".join(parts)


def specification_table() -> str:
    """:data:`cgm.evaluation.metrics.METRICS`."""
    rows = []
    for spec in METRICS.values():
        about = spec.about
        low, high = ("" if bound is None else f"{bound:g}" for bound in spec.bounds)
        direction = f"→ {spec.target:g}" if spec.target is not None else {"higher": "↑", "lower": "↓"}[spec.direction]
        rows.append([f"`{spec.name}`", about.title, spec.unit, direction, f"{low} … {high}", spec.judge, about.citation, about.protocol])
    head = ["name", "title", "unit", "better", "bounds", "looks through", "citation", "protocol"]
    return "### Specifications\n\n" + table(head, [[cell.replace("|", "\\|") for cell in row] for row in rows], numbers=False)


def _rows(rows: Rows, columns: Sequence[str]) -> str:
    cells = [[name, *(_format(key, row[key]) for key in columns)] for name, row in rows.items()]
    return table(["generator", *(COLUMNS[key][0] for key in columns)], cells)


def _bilinear(images: np.ndarray) -> np.ndarray:
    """uint8 N×H×W×3 → N×SIZE×SIZE×3, rounded as a file would be."""
    parts = (images[start : start + BATCH] for start in range(0, len(images), BATCH))
    return np.concatenate([to_uint8(F.interpolate(to_float(part), (SIZE, SIZE), mode="bilinear")) for part in parts])


def _format(column: str, value: float) -> str:
    return format_number(value * 1000 if column in THOUSANDTHS else value, COLUMNS[column][1])


def _span(column: str, values: Sequence[float]) -> str:
    low, high = (_format(column, value) for value in (min(values), max(values)))
    return low if low == high else f"{low}…{high}"


def _keys(images: np.ndarray) -> list[bytes]:
    return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study.discrimination", description="What each metric sees of known faults.")
    parser.add_argument("--count", type=int, default=COUNT, help="test pairs (default: %(default)s)")
    parser.add_argument("--splits", type=int, default=SPLITS, help="random splits behind a range (default: %(default)s)")
    parser.add_argument("--limit", type=int, help="pairs of each split of the dataset, at most (default: all)")
    parser.add_argument("--write", action="store_true", help=f"renew the sections in {PAGE}; otherwise they are printed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    looker = Looker(load_judge(CONFIG.judge))
    with tempfile.TemporaryDirectory(prefix="cgm-discrimination-") as folder:
        pool = load_pool(Path(folder), limit=arguments.limit)
        setting = Setting.of(pool, looker, 0, arguments.count)
        rows = discriminate(setting, looker)
        resized = resize_table(setting, rows, looker.judge)
        splits = [marginal_rows(pool, looker, number, arguments.count) for number in range(arguments.splits)]
    sections = {
        "discrimination": discrimination_table(rows, arguments.count, len(setting.split.train)),
        "resize": resized,
        "tolerances": tolerance_tables(rows, splits),
        "specifications": specification_table(),
    }
    for name, text in sections.items():
        if arguments.write:
            renew_section(name, text, ROOT / PAGE)
        else:
            print(text, end="\n\n")


if __name__ == "__main__":
    main()
