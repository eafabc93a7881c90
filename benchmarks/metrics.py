"""What the evaluation of one run costs, beside the same metrics from their packages: ``python -m benchmarks.metrics --write``.

Each side runs in a process of its own, with the same threads, judges and batches. The packages' side calls torch-fidelity, lpips,
torchmetrics, prdc and vendi-score one after another on the same images, as their documentation shows. The sides take turns, a round each:
what else the machine does meets all of them, and ratios are of one round's sides.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.page import ROOT, Lines, cores, heading, progress, run_command, spread, table, thread_limits
from benchmarks.study.generators import SOURCE, regression
from benchmarks.untrained import at_hand, judge_of
from cgm.core.errors import UserError
from cgm.data.images import to_float
from cgm.data.prepare import prepare
from cgm.data.prepared import Prepared, open_prepared
from cgm.data.sources.openmoji import OPENMOJI
from cgm.evaluation.evaluate import Another, evaluate_outputs
from cgm.evaluation.judges import BATCH
from cgm.evaluation.lpips import load_lpips
from cgm.evaluation.metrics.fid import fid
from cgm.evaluation.metrics.ms_ssim import SMALLEST as MS_SSIM_SMALLEST
from cgm.evaluation.reference import Reference, build_reference
from cgm.experiment.settings import Evaluation, WantedJudge

TESTS, TRAINS = 400, 1665
JUDGES = ("efficientnet-lite0",)
KID_SUBSETS = 100
"""torch-fidelity's default; its default size, 1000, needs more images."""
DATASET, OUTPUTS = "prepared", "outputs.npy"
AGREE = 1e-3
"""The largest relative difference between the two sides' values."""
AGREEING = ("MAE", "MSE", "LPIPS", "FD", "precision", "recall", "density", "coverage", "Vendi ÷ real")
FID_WAYS = {
    "ours": "`fid` with the reference's moments",
    "theirs": "torch-fidelity with the reals' statistics",
    "ours, from features": "`fid`",
    "theirs, from features": "torch-fidelity: features → statistics → FID",
}
FORWARD = "forward passes alone"
"""A part of our side that is no part of an evaluation: what no side can do without."""
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


Parts = dict[str, Callable[[], Mapping[str, Any]]]


def config_of(judges: Sequence[str]) -> Evaluation:
    """LPIPS is measured beside the evaluation."""
    return Evaluation(judges=tuple(WantedJudge(name=name) for name in judges), lpips="off")


def ours(folder: Path, tests: int, trains: int, judges: Sequence[str]) -> tuple[Parts, dict[str, Any]]:
    """The evaluation as its stage runs it, with the reference at hand, and LPIPS; what the reference takes by itself."""
    config, loaded = config_of(judges), {name: judge_of(name) for name in judges}
    data, lpips = Part(open_prepared(folder / DATASET), tests, trains), load_lpips("alex")
    outputs, targets = np.load(folder / OUTPUTS, mmap_mode="r"), data.images("test", "B")
    start = _clock()
    for name, judge in loaded.items():
        build_reference(data, config, judge).save(folder / f"{name}.npz")
    built = _clock() - start
    stored = {name: partial(Reference.load, folder / f"{name}.npz") for name in judges}
    first, *rest = judges
    others = [Another(name=name, judge=loaded[name], reference=stored[name]) for name in rest]

    def forward() -> dict[str, float]:
        for judge in loaded.values():
            judge.features(outputs)
        lpips(outputs, targets)
        return {}

    parts: Parts = {
        "evaluate_outputs": lambda: evaluate_outputs(outputs[None], data, stored[first], config, loaded[first], others=others)[0][
            "metrics"
        ],
        "LPIPS": lambda: {"lpips": float(lpips(outputs, targets).mean())},
        FORWARD: forward,
    }
    return parts, {"reference": built.tolist()}


def packages(folder: Path, tests: int, trains: int, judges: Sequence[str], cached: bool = False) -> tuple[Parts, dict[str, Any]]:
    """The same metrics from their packages. ``cached``: torch-fidelity has the reals' features and statistics in its cache."""
    import lpips
    import torchmetrics.image

    data, perceptual = Part(open_prepared(folder / DATASET), tests, trains), load_lpips("alex").network
    assert isinstance(perceptual, lpips.LPIPS)
    outputs, targets = np.load(folder / OUTPUTS, mmap_mode="r"), data.images("test", "B")

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

    parts: Parts = {
        "lpips (LPIPS)": lpips_distance,
        "torchmetrics (MAE, MSE, PSNR, SSIM, MS-SSIM from 161 px)": pixels,
    }
    for name in judges:
        for part, function in _through(folder, name, outputs, data.images("train", "B"), cached).items():
            # values of the leading judge alone are compared: another's weights may be random ones
            parts[f"{part}, {name}" if len(judges) > 1 else part] = function if name == judges[0] else partial(_silent, function)
    return parts, {}


def _silent(function: Callable[[], object]) -> dict[str, float]:
    function()
    return {}


def _through(folder: Path, name: str, outputs: np.ndarray, train: np.ndarray, cached: bool) -> Parts:
    """What the packages look at through one judge, which is as its publisher made it."""
    import torch_fidelity
    from prdc import compute_prdc
    from vendi_score import vendi

    from benchmarks.fidelity import Images, cache_name, register

    judge, neighbourhood = judge_of(name, hastened=False), Evaluation().neighbours
    subset = train[np.sort(Reference.load(folder / f"{name}.npz").subset[: len(outputs)])]
    extractor, size = register(judge), min(len(outputs), len(train))
    cache = (
        {"cache": True, "cache_root": str(folder / "cache"), "input2_cache_name": cache_name(train, judge)} if cached else {"cache": False}
    )
    features: dict[str, np.ndarray] = {}

    def fidelity() -> dict[str, float]:
        values = torch_fidelity.calculate_metrics(
            input1=Images(outputs), input2=Images(train), feature_extractor=extractor, cuda=False, batch_size=BATCH, verbose=False,
            fid=True, kid=True, prc=True, kid_subsets=KID_SUBSETS, kid_subset_size=size, prc_neighborhood=neighbourhood,
            **cache,
        )  # fmt: skip
        return {"fid": values["frechet_inception_distance"]}

    def look() -> dict[str, float]:
        features.update(fake=judge.features(outputs), real=judge.features(subset))
        return {}

    def neighbours() -> dict[str, float]:
        with redirect_stdout(io.StringIO()):  # prdc prints the counts
            return {key: float(value) for key, value in compute_prdc(features["real"], features["fake"], neighbourhood).items()}

    def variety() -> dict[str, float]:
        return {"vendi_ratio": float(vendi.score_dual(features["fake"]) / vendi.score_dual(features["real"]))}

    return {
        "torch-fidelity (FID, KID, precision, recall)": fidelity,
        "the judge's features for the next two": look,
        "prdc (precision, recall, density, coverage)": neighbours,
        "vendi-score (Vendi ÷ real)": variety,
    }


def fid_statistic(folder: Path, tests: int, trains: int, judges: Sequence[str]) -> tuple[Parts, dict[str, Any]]:
    """From features to FID, both ways: with what the reals contribute at hand, as both have it after the first run, and without."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    reference = Reference.load(folder / f"{judges[0]}.npz")
    fake, real, moments = judge_of(judges[0]).features(np.load(folder / OUTPUTS)), reference.features, reference.moments
    fake_tensor, real_tensor = torch.from_numpy(fake), torch.from_numpy(real)
    real_statistics = fid_features_to_statistics(real_tensor)

    def theirs(statistics: Callable[[], dict[str, np.ndarray]]) -> dict[str, float]:
        found = fid_statistics_to_metric(fid_features_to_statistics(fake_tensor), statistics(), verbose=False)
        return {"theirs": found["frechet_inception_distance"]}

    parts: Parts = {
        "ours": lambda: {"ours": fid(fake, real, moments)},
        "theirs": lambda: theirs(lambda: real_statistics),
        "ours, from features": lambda: {"ours": fid(fake, real)},
        "theirs, from features": lambda: theirs(lambda: fid_features_to_statistics(real_tensor)),
    }
    return parts, {"shape": [len(fake), *real.shape]}


SIDES: dict[str, Callable[..., tuple[Parts, dict[str, Any]]]] = {
    "ours": ours,
    "packages": packages,
    "packages-cached": partial(packages, cached=True),
    "fid": fid_statistic,
}
LABELS = {"packages": "packages", "packages-cached": "packages, reals in torch-fidelity's cache"}


def _batches(*images: np.ndarray) -> list[tuple[np.ndarray, ...]]:
    return [tuple(side[start : start + BATCH] for side in images) for start in range(0, len(images[0]), BATCH)]


def _clock() -> np.ndarray:
    """Seconds: by the clock, and of the processor, with the loader processes that have ended."""
    ended = os.times()
    return np.array([time.perf_counter(), time.process_time() + ended.children_user + ended.children_system])


def a_round(parts: Parts) -> dict[str, Any]:
    """Each part once: its seconds, the values, and the process's peak memory so far."""
    seconds: dict[str, list[float]] = {}
    values: dict[str, Any] = {}
    for name, part in parts.items():
        start = _clock()
        values |= part()
        seconds[name] = (_clock() - start).tolist()
    peak = re.search(r"^VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert peak is not None
    return {"seconds": seconds, "values": values, "peak_mib": int(peak[1]) / 1024}


def serve(side: str, folder: Path, tests: int, trains: int, judges: Sequence[str]) -> None:
    """A line of JSON once the side is ready, and one for each line on standard input: a round's."""
    out, sys.stdout = sys.stdout, sys.stderr  # what packages print is no answer
    parts, facts = SIDES[side](folder, tests, trains, judges)
    print(json.dumps(facts), file=out, flush=True)
    for _ in sys.stdin:
        print(json.dumps(a_round(parts)), file=out, flush=True)


@contextmanager
def served(
    side: str, folder: Path, tests: int, trains: int, judges: Sequence[str], threads: int
) -> Iterator[tuple[dict[str, Any], Callable[[], dict[str, Any]]]]:
    """A side in a new process: what it says when it is ready, and what to call for a round.

    Raises :class:`UserError` where it fails.
    """
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.metrics", "--side", side, "--folder", str(folder), "--judges", *judges]
    command += ["--tests", f"{tests}", "--trains", f"{trains}", "--threads", f"{threads}"]
    environment = os.environ | thread_limits(threads)
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        given, taken = process.stdin, process.stdout
        assert given is not None
        assert taken is not None

        def answer() -> dict[str, Any]:
            if line := taken.readline():
                return dict(json.loads(line))
            raise UserError(f"{' '.join(command)}: exit code {process.wait()}, expected an answer; its own message stands above")

        def ask() -> dict[str, Any]:
            given.write("\n")
            given.flush()
            return answer()

        yield answer(), ask


def rounds(
    folder: Path, tests: int, trains: int, judges: Sequence[str], repeats: int, threads: int
) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """What the sides say, and ``repeats`` rounds of each, in turn, after one that is not counted."""
    facts: dict[str, Any] = {}
    asks: dict[str, Callable[[], dict[str, Any]]] = {}
    with ExitStack() as stack:
        for side in SIDES:  # ours makes the references that the others read
            said, asks[side] = stack.enter_context(served(side, folder, tests, trains, judges, threads))
            facts |= said
        found: dict[str, list[dict[str, Any]]] = {side: [] for side in asks}
        for index in range(repeats + 1):
            for side, ask in asks.items():
                found[side].append(ask())
                progress(f"round {index} of {repeats}", side, f"{total(found[side][-1])[1]:.1f} s of the processor")
    return facts, {side: each[1:] for side, each in found.items()}


def total(one: Mapping[str, Any]) -> np.ndarray:
    """A round's seconds, by the clock and of the processor, without what is no part of an evaluation."""
    return np.sum([seconds for part, seconds in one["seconds"].items() if part != FORWARD], axis=0)


def measure(sizes: Sequence[int], tests: int, trains: int, judges: Sequence[str], repeats: int, threads: int) -> str:
    """The section of the page."""
    totals: Lines = []
    parts: Lines = []
    statistic: Lines = []
    shape = ""
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="cgm-metrics-") as name:
            folder = Path(name)
            make(folder, size, tests, trains)
            facts, found = rounds(folder, tests, trains, judges, repeats, threads)
        for side in LABELS:
            check_agreement(found["ours"][0]["values"], found[side][0]["values"])
        times = {side: np.array([total(each) for each in found[side]]) for side in ("ours", *LABELS)}
        times[FORWARD] = np.array([each["seconds"][FORWARD] for each in found["ours"]])
        for side, label in (("ours", "`evaluate_outputs`, with LPIPS"), (FORWARD, FORWARD), *LABELS.items()):
            ratios = [f"{np.median(times[side] / times[own], axis=0)[1]:.1f}×" for own in ("ours", FORWARD)] if side in LABELS else ["", ""]
            peak = "" if side == FORWARD else f"{max(each['peak_mib'] for each in found[side]):.0f}"
            totals.append([f"{size} px", label, *spread(times[side][:, 1].tolist()), spread(times[side][:, 0].tolist())[0], peak, *ratios])
        totals.append(
            [
                f"{size} px",
                "`build_reference`, once a dataset",
                f"{facts['reference'][1]:.1f}",
                "",
                f"{facts['reference'][0]:.1f}",
                "",
                "",
                "",
            ]
        )
        for part in found["packages"][0]["seconds"]:
            cells = [statistics.median(each["seconds"][part][1] for each in found[side]) for side in LABELS]
            parts.append([f"{size} px", part, *(f"{cell:.2f}" for cell in cells)])
        if size == sizes[0]:
            for suffix in ("", ", from features"):
                ways = {name: [each["seconds"][f"{name}{suffix}"][1] for each in found["fid"]] for name in ("ours", "theirs")}
                for name, seconds in ways.items():
                    faster = statistics.median(np.divide(ways["theirs"], seconds).tolist())
                    value = found["fid"][0]["values"][name]
                    statistic.append(
                        [FID_WAYS[f"{name}{suffix}"], *spread(seconds, 3), f"{value:.5f}", "" if name == "theirs" else f"{faster:.0f}×"]
                    )
            shape = "{} × {} × {}".format(*facts["shape"])
    return _section(totals, parts, statistic, shape, (sizes, tests, trains, judges, repeats, threads))


def _section(
    totals: Lines, parts: Lines, statistic: Lines, shape: str, settings: tuple[Sequence[int], int, int, Sequence[str], int, int]
) -> str:
    sizes, tests, trains, judges, repeats, threads = settings
    options = f"--sizes {' '.join(map(str, sizes))} --tests {tests} --trains {trains} --judges {' '.join(judges)}"
    random = [name for name in judges if not at_hand(name)]
    return "\n\n".join(
        [
            heading(
                "The metrics of one run" + (", several judges" if len(judges) > 1 else ""),
                f"benchmarks.metrics {options} --repeats {repeats} --threads {threads}",
                PACKAGES,
            ),
            f"{tests} outputs against their targets and {trains} train targets (OpenMoji, variant all), through {' and '.join(judges)}.\n"
            f"Each side is its own process, with {threads} thread(s) and batches of {BATCH}; they take turns. Seconds: median of\n"
            f"{repeats}, after a round not counted, of the processor, which others on the machine change little, and by the clock,\n"
            f"which they change much (load at the end: {os.getloadavg()[0]:.1f} on {cores()} cores). A ratio is of the processor's\n"
            "seconds in one round; the median over rounds is shown. Peak memory: the process's VmHWM, with imports and weights, without\n"
            "torch-fidelity's loader processes, whose seconds count.",
            *(f"The weights of {name} were not at hand: both sides have the same random ones in their place." for name in random),
            "Our side computes all metrics of this benchmark, also those that no package has (PD, pairgain, retrieval@1, …), with the\n"
            "reference at hand, as every run of a dataset has it. The packages know no such stage: torch-fidelity sends the train\n"
            "targets through the judge, unless its cache holds them. Ours also computes each metric without one of 20 groups of images,\n"
            "for intervals, which no package does. What both sides measure by one protocol agrees within 0.1%, or the command fails: "
            f"{', '.join(AGREEING)}.",
            f"*{FORWARD.capitalize()}*: the outputs through the judge, and with their targets through LPIPS, in our side's process,\n"
            "and nothing else. Ours can't do with less, so *packages ÷ forward* is the ratio if all the rest cost nothing.",
            table(["images", "side", "seconds", "min–max", "by the clock", "peak MiB", "packages ÷ ours", "packages ÷ forward"], totals),
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


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.metrics", description="Measure the evaluation of one run, and its packages."
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[64], help="of the images, in px (default: 64)")
    parser.add_argument("--tests", type=int, default=TESTS, help="outputs (default: %(default)s)")
    parser.add_argument("--trains", type=int, default=TRAINS, help="train targets (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="of each measurement (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of each side (default: %(default)s)")
    parser.add_argument("--judges", nargs="+", default=JUDGES, help="the first one leads (default: %(default)s)")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)

    def section(arguments: argparse.Namespace) -> tuple[str, str]:
        if arguments.side:
            torch.set_num_threads(arguments.threads)
            serve(arguments.side, arguments.folder, arguments.tests, arguments.trains, arguments.judges)
            sys.exit()
        name = "metrics" if len(arguments.judges) == 1 else "metrics, several judges"
        return name, measure(arguments.sizes, arguments.tests, arguments.trains, arguments.judges, arguments.repeats, arguments.threads)

    run_command(parser, section)


if __name__ == "__main__":
    main()
