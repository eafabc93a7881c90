"""What the evaluation of one run costs, beside the same metrics from their packages: ``python -m benchmarks.metrics --write``.

Each side runs in a process of its own, with the same threads, judge and batches. The packages' side calls torch-fidelity, lpips,
torchmetrics, prdc and vendi-score one after another on the same images, as their documentation shows.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.page import ROOT, Lines, heading, run_command, spread, table, thread_limits
from benchmarks.study.generators import SOURCE, regression
from cgm.core.errors import UserError
from cgm.data.images import to_float
from cgm.data.prepare import prepare
from cgm.data.prepared import Prepared, open_prepared
from cgm.data.sources.openmoji import OPENMOJI
from cgm.evaluation.evaluate import evaluate_outputs
from cgm.evaluation.judges import BATCH, load_judge
from cgm.evaluation.lpips import load_lpips
from cgm.evaluation.metrics.fid import fid
from cgm.evaluation.metrics.ms_ssim import SMALLEST as MS_SSIM_SMALLEST
from cgm.evaluation.reference import Reference, build_reference
from cgm.experiment.settings import Evaluation

TESTS, TRAINS = 400, 1665
CONFIG = Evaluation(lpips="off")
"""LPIPS is measured beside the evaluation."""
KID_SUBSETS = 100
"""torch-fidelity's default; its default size, 1000, needs more images."""
DATASET, OUTPUTS, REFERENCE = "prepared", "outputs.npy", "reference.npz"
AGREE = 1e-3
"""The largest relative difference between the two sides' values."""
AGREEING = ("MAE", "MSE", "LPIPS", "FD", "precision", "recall", "density", "coverage", "Vendi ÷ real")
FID_WAYS = {
    "ours": "`fid` with the reference's moments",
    "theirs": "torch-fidelity with the reals' statistics",
    "ours, from features": "`fid`",
    "theirs, from features": "torch-fidelity: features → statistics → FID",
}
PACKAGES = ("torch", "torch-fidelity", "lpips", "torchmetrics", "prdc", "vendi-score")


class Part(Prepared):
    """The first ``tests`` test pairs and ``trains`` train pairs of a prepared dataset."""

    def __init__(self, whole: Prepared, tests: int, trains: int) -> None:
        super().__init__(whole.folder, whole.card, whole._index)
        self.counts = {"test": tests, "train": trains}

    def images(self, split: str, side: str) -> np.ndarray:
        return super().images(split, side)[: self.counts.get(split)]

    def ids(self, split: str, side: str) -> list[str]:
        return super().ids(split, side)[: self.counts.get(split)]


def make(folder: Path, size: int, tests: int, trains: int) -> None:
    """The dataset (variant all, which has enough pairs), and outputs that are half the target and half the drawing."""
    settings = OPENMOJI.Settings(source=SOURCE, variant="all", image_size=size, kimg=1.0, limit=max(tests, trains))
    OPENMOJI.fetch(settings, folder / "raw", paired=True, root=ROOT)
    prepare(settings, folder / "raw", folder / DATASET, name=SOURCE, paired=True)
    data = Part(open_prepared(folder / DATASET), tests, trains)
    np.save(folder / OUTPUTS, regression(data.images("test", "A"), data.images("test", "B")))


def ours(folder: Path, tests: int, trains: int, repeats: int) -> dict[str, Any]:
    """The evaluation as its stage runs it, with the reference at hand, and LPIPS; what the reference takes by itself."""
    data, judge, lpips = Part(open_prepared(folder / DATASET), tests, trains), load_judge(CONFIG.judge), load_lpips("alex")
    outputs, targets = np.load(folder / OUTPUTS, mmap_mode="r"), data.images("test", "B")
    start = time.perf_counter()
    build_reference(data, CONFIG, judge).save(folder / REFERENCE)
    built = time.perf_counter() - start
    reference = Reference.load(folder / REFERENCE)

    parts: dict[str, Callable[[], Mapping[str, Any]]] = {
        "evaluate_outputs": lambda: evaluate_outputs(outputs[None], data, reference, CONFIG, judge)[0]["metrics"],
        "LPIPS": lambda: {"lpips": float(lpips(outputs, targets).mean())},
    }
    return {"reference": built, **_measured(parts, repeats)}


def packages(folder: Path, tests: int, trains: int, repeats: int, cached: bool = False) -> dict[str, Any]:
    """The same metrics from their packages. ``cached``: torch-fidelity has the reals' features and statistics in its cache."""
    import lpips
    import torch_fidelity
    import torchmetrics.image
    from prdc import compute_prdc
    from vendi_score import vendi

    from benchmarks.fidelity import Images, cache_name, register

    data, judge, perceptual = Part(open_prepared(folder / DATASET), tests, trains), load_judge(CONFIG.judge), load_lpips("alex").network
    assert isinstance(perceptual, lpips.LPIPS)
    outputs, targets, train = np.load(folder / OUTPUTS, mmap_mode="r"), data.images("test", "B"), data.images("train", "B")
    subset = train[np.sort(Reference.load(folder / REFERENCE).subset[:tests])]
    name = register(judge)
    cache = (
        {"cache": True, "cache_root": str(folder / "cache"), "input2_cache_name": cache_name(train, judge)} if cached else {"cache": False}
    )
    features: dict[str, np.ndarray] = {}

    def fidelity() -> dict[str, float]:
        values = torch_fidelity.calculate_metrics(
            input1=Images(outputs), input2=Images(train), feature_extractor=name, cuda=False, batch_size=BATCH, verbose=False,
            fid=True, kid=True, prc=True, kid_subsets=KID_SUBSETS, kid_subset_size=min(tests, trains), prc_neighborhood=CONFIG.neighbours,
            **cache,
        )  # fmt: skip
        return {"fid": values["frechet_inception_distance"]}

    @torch.inference_mode()
    def lpips_distance() -> dict[str, float]:
        values = [perceptual(to_float(x), to_float(y)) for x, y in _batches(outputs, targets)]
        return {"lpips": float(torch.cat(values).mean())}

    def pixels() -> dict[str, float]:
        unit = torchmetrics.MetricCollection(
            {
                "mae": torchmetrics.MeanAbsoluteError(),
                "mse": torchmetrics.MeanSquaredError(),
                "psnr": torchmetrics.image.PeakSignalNoiseRatio(data_range=1.0, dim=(1, 2, 3)),
                "ssim": torchmetrics.image.StructuralSimilarityIndexMeasure(data_range=1.0),
            }
        )
        if targets.shape[1] >= MS_SSIM_SMALLEST:
            unit["ms_ssim"] = torchmetrics.image.MultiScaleStructuralSimilarityIndexMeasure(data_range=1.0)
        for x, y in _batches(outputs, targets):
            unit.update(*((to_float(images) + 1) / 2 for images in (x, y)))
        return {key: float(value) for key, value in unit.compute().items() if key in ("mae", "mse")}

    def look() -> dict[str, float]:
        features.update(fake=judge.features(outputs), real=judge.features(subset))
        return {}

    def neighbours() -> dict[str, float]:
        with redirect_stdout(io.StringIO()):  # prdc prints the counts
            return {key: float(value) for key, value in compute_prdc(features["real"], features["fake"], CONFIG.neighbours).items()}

    def variety() -> dict[str, float]:
        return {"vendi_ratio": float(vendi.score_dual(features["fake"]) / vendi.score_dual(features["real"]))}

    parts = {
        "torch-fidelity (FID, KID, precision, recall)": fidelity,
        "lpips (LPIPS)": lpips_distance,
        "torchmetrics (MAE, MSE, PSNR, SSIM, MS-SSIM from 161 px)": pixels,
        "the judge's features for the next two": look,
        "prdc (precision, recall, density, coverage)": neighbours,
        "vendi-score (Vendi ÷ real)": variety,
    }
    return _measured(parts, repeats)


def fid_statistic(folder: Path, tests: int, trains: int, repeats: int) -> dict[str, Any]:
    """From features to FID, both ways: with what the reals contribute at hand, as both have it after the first run, and without."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    reference, fake = Reference.load(folder / REFERENCE), load_judge(CONFIG.judge).features(np.load(folder / OUTPUTS))
    real, moments = reference.features, reference.moments
    fake_tensor, real_tensor = torch.from_numpy(fake), torch.from_numpy(real)
    real_statistics = fid_features_to_statistics(real_tensor)

    def theirs(statistics: Callable[[], dict[str, np.ndarray]]) -> dict[str, float]:
        found = fid_statistics_to_metric(fid_features_to_statistics(fake_tensor), statistics(), verbose=False)
        return {"fid": found["frechet_inception_distance"]}

    ways: dict[str, Callable[[], dict[str, float]]] = {
        "ours": lambda: {"fid": fid(fake, real, moments)},
        "theirs": lambda: theirs(lambda: real_statistics),
        "ours, from features": lambda: {"fid": fid(fake, real)},
        "theirs, from features": lambda: theirs(lambda: fid_features_to_statistics(real_tensor)),
    }
    return {"shape": [len(fake), *real.shape], **{name: _measured({"fid": way}, repeats) for name, way in ways.items()}}


SIDES: dict[str, Callable[[Path, int, int, int], dict[str, Any]]] = {
    "ours": ours,
    "packages": packages,
    "packages-cached": partial(packages, cached=True),
    "fid": fid_statistic,
}


def _batches(*images: np.ndarray) -> list[tuple[np.ndarray, ...]]:
    return [tuple(side[start : start + BATCH] for side in images) for start in range(0, len(images[0]), BATCH)]


def _measured(parts: Mapping[str, Callable[[], Mapping[str, Any]]], repeats: int) -> dict[str, Any]:
    """Seconds of each part in each of ``repeats`` rounds, after one that is not counted; the values; and the process's peak memory."""
    seconds: dict[str, list[float]] = {name: [] for name in parts}
    values: dict[str, Any] = {}
    for _ in range(repeats + 1):
        for name, part in parts.items():
            start = time.perf_counter()
            values |= part()
            seconds[name].append(time.perf_counter() - start)
    peak = re.search(r"^VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert peak is not None
    return {"seconds": {name: times[1:] for name, times in seconds.items()}, "values": values, "peak_mib": int(peak[1]) / 1024}


def run_side(side: str, folder: Path, tests: int, trains: int, repeats: int, threads: int) -> dict[str, Any]:
    """One side in a new process.

    Raises :class:`UserError` where it fails.
    """
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.metrics", "--side", side, "--folder", str(folder)]
    command += ["--tests", f"{tests}", "--trains", f"{trains}", "--repeats", f"{repeats}", "--threads", f"{threads}"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | thread_limits(threads), stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise UserError(f"{' '.join(command)}: exit code {done.returncode}, expected 0; its own message stands above")
    return json.loads(done.stdout.splitlines()[-1])


def measure(sizes: Sequence[int], tests: int, trains: int, repeats: int, threads: int) -> str:
    """The section of the page."""
    totals: Lines = []
    parts: Lines = []
    statistic: Lines = []
    shape = ""
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="cgm-metrics-") as name:
            folder = Path(name)
            make(folder, size, tests, trains)
            found = {side: run_side(side, folder, tests, trains, repeats, threads) for side in SIDES if side != "fid" or size == sizes[0]}
        for side in ("packages", "packages-cached"):
            check_agreement(found["ours"]["values"], found[side]["values"])
        base = _rounds(found["ours"])
        totals.append([f"{size} px", "`evaluate_outputs`, with LPIPS", *spread(base), f"{found['ours']['peak_mib']:.0f}", ""])
        for side, label in (("packages", "packages"), ("packages-cached", "packages, reals in torch-fidelity's cache")):
            times = _rounds(found[side])
            ratio = statistics.median(times) / statistics.median(base)
            totals.append([f"{size} px", label, *spread(times), f"{found[side]['peak_mib']:.0f}", f"{ratio:.1f}×"])
        totals.append([f"{size} px", "`build_reference`, once a dataset", f"{found['ours']['reference']:.1f}", "", "", ""])
        for part in found["packages"]["seconds"]:
            cells = [f"{statistics.median(found[side]['seconds'][part]):.2f}" for side in ("packages", "packages-cached")]
            parts.append([f"{size} px", part, *cells])
        if "fid" in found:
            for suffix in ("", ", from features"):
                ways = {f"{name}{suffix}": found["fid"][f"{name}{suffix}"] for name in ("ours", "theirs")}
                own, other = (statistics.median(_rounds(way)) for way in ways.values())
                for name, way in ways.items():
                    faster = f"{other / own:.0f}×" if name.startswith("ours") else ""
                    statistic.append([FID_WAYS[name], *spread(_rounds(way), 3), f"{way['values']['fid']:.5f}", faster])
            shape = "{} × {} × {}".format(*found["fid"]["shape"])
    return _section(totals, parts, statistic, shape, (sizes, tests, trains, repeats, threads))


def _section(totals: Lines, parts: Lines, statistic: Lines, shape: str, settings: tuple[Sequence[int], int, int, int, int]) -> str:
    sizes, tests, trains, repeats, threads = settings
    options = f"--sizes {' '.join(map(str, sizes))} --tests {tests} --trains {trains} --repeats {repeats} --threads {threads}"
    return "\n\n".join(
        [
            heading("The metrics of one run", f"benchmarks.metrics {options}", PACKAGES),
            f"{tests} outputs against their targets and {trains} train targets (OpenMoji, variant all). Each side is its own process:\n"
            f"{threads} thread(s), judge {CONFIG.judge}, batches of {BATCH}. Seconds: median of {repeats}, after a round not counted.\n"
            "Peak memory: the process's VmHWM, with imports and weights, without torch-fidelity's loader processes.",
            "Our side computes all metrics of this benchmark, also those that no package has (PD, pairgain, retrieval@1, …), with the\n"
            "reference at hand, as every run of a dataset has it. The packages know no such stage: torch-fidelity sends the train\n"
            "targets through the judge, unless its cache holds them. Ours also computes each metric without one of 20 groups of images,\n"
            "for intervals, which no package does. What both sides measure by one protocol agrees within 0.1%, or the command fails: "
            f"{', '.join(AGREEING)}.",
            table(["images", "side", "seconds", "min–max", "peak MiB", "packages ÷ ours"], totals),
            "### Where the packages' time goes",
            table(["images", "part", "seconds", "with its cache"], parts),
            f"### The FID statistic alone\n\nFrom features to the number, {shape}. The first two have at hand what the reals contribute:\n"
            "ours from the reference stage, torch-fidelity's from its cache of statistics.",
            table(["way", "seconds", "min–max", "FD", "faster"], statistic),
        ]
    )


def check_agreement(ours: Mapping[str, float | None], theirs: Mapping[str, float]) -> None:
    """Raises :class:`UserError` where the two sides measured different values."""
    for name, value in theirs.items():
        own = ours[name]
        if own is None or abs(own - value) > AGREE * max(abs(value), 1e-2):
            raise UserError(
                f"{name}: found {own} here and {value} from its package, expected the same within {AGREE:g}; something is broken"
            )


def _rounds(side: Mapping[str, Any]) -> list[float]:
    return [sum(times) for times in zip(*side["seconds"].values(), strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.metrics", description="Measure the evaluation of one run, and its packages."
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[64], help="of the images, in px (default: 64)")
    parser.add_argument("--tests", type=int, default=TESTS, help="outputs (default: %(default)s)")
    parser.add_argument("--trains", type=int, default=TRAINS, help="train targets (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="of each measurement (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of each side (default: %(default)s)")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)

    def section(arguments: argparse.Namespace) -> tuple[str, str]:
        counts = arguments.tests, arguments.trains, arguments.repeats
        if arguments.side:
            torch.set_num_threads(arguments.threads)
            return "metrics", json.dumps(SIDES[arguments.side](arguments.folder, *counts))
        return "metrics", measure(arguments.sizes, *counts, arguments.threads)

    run_command(parser, section)


if __name__ == "__main__":
    main()
