"""What an evaluation of very many images holds in memory and how long it takes: ``python -m benchmarks.many --write``.

50,000 pictures of 256 px don't pass through two judges in the time of a benchmark. So the two halves are measured apart, each in processes
of its own: the statistics at full size, on made features; the passes over the pictures, with all that hangs on them, on fewer of them.
``--for`` extrapolates the statistics from two sizes, where they too take too long.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.page import ROOT, Lines, heading, number, progress, run_command, table, thread_limits
from benchmarks.untrained import judge_of
from cgm.core.errors import UserError
from cgm.core.files import read_json, write_json
from cgm.evaluation.evaluate import Another, evaluate_outputs
from cgm.evaluation.judges import load_judge
from cgm.evaluation.metrics import METRICS
from cgm.evaluation.reference import Reference, Stored, build_reference, reals_of
from cgm.evaluation.score import Loose
from cgm.evaluation.view import Seen, View
from cgm.experiment.settings import Evaluation, WantedJudge

WIDTHS = {"efficientnet-lite0": 1280, "inception-2015": 2048}
"""The judges, with the number of their features."""
IMAGES, PICTURES, SAMPLES = 50_000, 1000, 4
LATENT, NOISE, CHUNK = 64, 0.5, 1000
"""Made features: so many directions in which they vary, and the noise of each feature beside them; so many rows are made at a time."""
SAMPLING = 0.01
"""Seconds between two looks at the memory."""
HELD = 5
"""Matrices of features by the end of a pass: outputs, targets, their conditions, the train targets and theirs."""
TITLES = {
    "reference": "the reference, from features",
    "precision": "precision, recall, density, coverage, near duplicates",
    "ndb": "ndb, jsd",
}
"""Parts that compute what others take from them."""
LEAST = 1.0
"""Seconds of the processor below which a part has no row."""


@contextmanager
def measured(parts: dict[str, Any], name: str) -> Iterator[None]:
    """The processor's seconds for what is inside, which others' work on the machine changes little, and the most anonymous memory of the
    process in that time, in MiB."""
    peak, over = 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(SAMPLING):
            peak = max(peak, anonymous())

    watcher = threading.Thread(target=watch)
    start = time.process_time()
    watcher.start()
    try:
        yield
    finally:
        seconds = time.process_time() - start
        over.set()
        watcher.join()
    parts[name] = {"seconds": seconds, "mib": max(peak, anonymous())}
    progress(name, f"{seconds:.1f} s", f"{parts[name]['mib']:.0f} MiB")


def anonymous() -> float:
    """MiB that this process holds and no file does: RssAnon, without the page cache's part of memory maps and libraries."""
    found = re.search(r"^RssAnon:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def made(role: str, count: int, width: int) -> np.ndarray:
    """float32 ``count``×``width`` features, never below 0. ``role``: test or train pictures' are of one kind, with other rows; an output's
    lie near its target's, a condition's hang together with them."""
    split, kind = role.split(" ")
    latents = np.random.default_rng([split == "train", 0])
    noise = np.random.default_rng([width, *role.encode()])
    projection = np.random.default_rng([width, kind == "conditions"]).standard_normal((LATENT, width), np.float32) / np.float32(LATENT**0.5)
    found = np.empty((count, width), np.float32)
    for start in range(0, count, CHUNK):
        rows = found[start : start + CHUNK]
        rows[:] = latents.standard_normal((len(rows), LATENT), np.float32) @ projection
        rows += NOISE * noise.standard_normal(rows.shape, np.float32)
        np.maximum(rows, 0, out=rows)
    return found


def reference(folder: Path, judge: str, images: int) -> dict[str, Any]:
    """What the stage ``reference`` computes of features, and keeps for :func:`statistics`."""
    parts: dict[str, Any] = {}
    config, width = settings(judge), WIDTHS[judge]
    features = made("train targets", images, width)
    with measured(parts, "reference"):
        reals = reals_of(features, config, np.random.default_rng(0))
    Reference(
        **vars(reals),
        judge=judge,
        judge_sha256="",
        data_sha256="",
        conditions=made("train conditions", images, width),
        test_conditions=made("test conditions", images, width),
        target_features=np.empty((0, width), np.float32),
        target_embeddings=np.empty((0, 0), np.float32),
        spectrum=np.zeros(1),
        groups=np.zeros(images, np.int64),
        inputs=np.arange(images),
    ).save(folder / f"{judge}.npz")
    return parts


def statistics(folder: Path, judge: str, images: int) -> dict[str, Any]:
    """Every metric that is one number of whole sets of features, as the evaluation asks it."""
    parts: dict[str, Any] = {}
    width = WIDTHS[judge]
    known = Reference.load(folder / f"{judge}.npz")
    nothing = np.broadcast_to(np.zeros(3, np.uint8), (1, images, 1, 1, 3))
    seen = Seen(features=made("test outputs", images, width), target_features=made("test targets", images, width))
    view = View(
        samples=nothing,
        targets=nothing[0],
        reals=known,
        real_images=lambda: nothing[0],
        conditions=known.test_conditions,
        real_conditions=known.conditions,
        judge=load_judge("efficientnet-lite0"),  # nothing looks through it; any will do
        config=settings(judge),
        generator=lambda purpose: np.random.default_rng(list(purpose.encode())),
        look=lambda _: seen,
    )
    for metric in METRICS.values():
        if metric.judge == "judge" and metric.per_image is None:
            with measured(parts, metric.name):
                value = metric.value(view)
            parts[metric.name] |= {"value": value.value, "n_real": value.n_real, "n_fake": value.n_fake}
    return parts


def pictures(folder: Path, images: int, size: int) -> dict[str, Any]:
    """The whole way, of made pictures: the reference through each judge, and the evaluation through all of them, with LPIPS."""
    parts: dict[str, Any] = {}
    config = Evaluation(judges=tuple(WantedJudge(name=name) for name in WIDTHS))
    with tempfile.TemporaryDirectory(prefix="cgm-many-", dir=folder) as name:
        outputs, prepared = drawn(Path(name), images, size)
        judges = {name: judge_of(name) for name in WIDTHS}
        stored: dict[str, Stored] = {}
        for judge in judges.values():
            path = Path(name) / f"{judge.name}.npz"
            with measured(parts, f"reference, {judge.name}"):
                build_reference(prepared, config, judge, label="reference").save(path)
            stored[judge.name] = partial(Reference.load, path)
        others = [Another(name=each.name, judge=judges[each.name], reference=stored[each.name]) for each in config.others]
        with measured(parts, "evaluation"):
            evaluate_outputs(
                outputs, prepared, stored[config.judge], config, judges[config.judge], others=others, label="evaluate", with_left_out=False
            )
    return parts


def drawn(folder: Path, images: int, size: int) -> tuple[np.ndarray, Loose]:
    """Memory maps of smooth colours with noise: the outputs, :data:`SAMPLES` a condition, and all else as a dataset."""
    generator = np.random.default_rng(0)

    def written(name: str, *count: int) -> np.ndarray:
        array = np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.uint8, shape=(*count, size, size, 3))
        for image in array.reshape(-1, size, size, 3):
            coarse = generator.integers(0, 200, (8, 8, 3), dtype=np.uint8)
            image[:] = np.kron(coarse, np.ones((size // 8, size // 8, 1), np.uint8))
            image += generator.integers(0, 50, image.shape, dtype=np.uint8)
        return array

    arrays = {(split, side): written(f"{split}-{side}", images) for split in ("train", "test") for side in ("A", "B")}
    card = {
        "dataset": "made",
        "paired": True,
        "hidden_pairs": False,
        "aligned": ["test"],
        "image_size": size,
        "channels": 3,
        "data_sha256": "",
    }
    return written("outputs", SAMPLES, images), Loose(folder, card, [f"{index}" for index in range(images)], arrays)


SIDES: dict[str, Callable[..., dict[str, Any]]] = {"reference": reference, "statistics": statistics, "pictures": pictures}


def found(folder: Path, side: str, *arguments: str) -> dict[str, Any]:
    """What a side measured: in this folder before, or in a new process now."""
    path = folder / f"{'-'.join([side, *arguments])}.json"
    if not path.is_file():
        progress(side, *arguments)
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.many", "--folder", str(folder), "--side", side, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=os.environ | thread_limits(1), stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise UserError(f"{' '.join(command)}: exit code {done.returncode}, expected 0; its own message stands above")
        write_json(path, json.loads(done.stdout.splitlines()[-1]))
    return dict(read_json(path))


Parts = Mapping[str, Mapping[str, Any]]
"""Seconds and MiB of each part, by its name."""


def measure(folder: Path, images: int, some: int, size: int, wanted: int) -> str:
    """The section of the page."""
    known = _statistics(folder, images)
    whole = found(folder, "pictures", f"{some}", f"{size}")
    half = _statistics(folder, images // 2) if wanted > images else known
    return _section(known, half, whole, images, some, size, wanted)


def _statistics(folder: Path, images: int) -> dict[str, Parts]:
    return {judge: found(folder, "reference", judge, f"{images}") | found(folder, "statistics", judge, f"{images}") for judge in WIDTHS}


def extrapolated(whole: Mapping[str, float], half: Mapping[str, float], times: float) -> dict[str, float]:
    """For so many ``times`` the images, from what was measured on all of them and on half: seconds grow by a power, memory by a line."""
    power = max(math.log2(whole["seconds"] / half["seconds"]), 1.0) if whole["seconds"] >= LEAST else 1.0
    return {"seconds": whole["seconds"] * times**power, "mib": whole["mib"] + max(whole["mib"] - half["mib"], 0) * 2 * (times - 1)}


def _rows(known: Mapping[str, Parts], shown: Iterable[str]) -> tuple[Lines, float]:
    """A line for each part that is ``shown``, with the seconds and MiB of each judge; and the most that is held, in MiB."""
    rows: Lines = []
    for part in shown:
        cells = [parts[part] for parts in known.values()]
        rows.append([TITLES.get(part, part), *(number(cell["seconds"]) for cell in cells), *(f"{cell['mib']:.0f}" for cell in cells)])
    of_outputs = [[part for name, part in parts.items() if name != "reference"] for parts in known.values()]
    peaks = [max(part["mib"] for part in parts) for parts in of_outputs]
    total = [sum(part["seconds"] for part in parts) for parts in of_outputs]
    return [*rows, ["all but the reference", *map(number, total), *(f"{peak:.0f}" for peak in peaks)]], max(peaks)


def _section(
    known: Mapping[str, Parts], half: Mapping[str, Parts], whole: Mapping[str, Any], measured: int, some: int, size: int, images: int
) -> str:
    shown = [part for part in known["inception-2015"] if max(parts[part]["seconds"] for parts in known.values()) >= LEAST]
    columns = ["part", *(f"s, {judge}" for judge in WIDTHS), *(f"MiB, {judge}" for judge in WIDTHS)]
    rows, peak = _rows(known, shown)
    tables = [table(columns, rows)]
    if images > measured:
        larger = {
            judge: {part: extrapolated(values, half[judge][part], images / measured) for part, values in parts.items()}
            for judge, parts in known.items()
        }
        rows, peak = _rows(larger, shown)
        tables += [
            f"**Extrapolated** to {images:,}, not measured: seconds by the power by which they grew from {measured // 2:,} to\n"
            f"{measured:,} (at least in proportion), memory by a line through both.",
            table(columns, rows),
        ]
    passes = [
        [part, number(cell["seconds"]), f"{cell['seconds'] / some * images / 3600:.1f}", f"{cell['mib']:.0f}"]
        for part, cell in whole.items()
    ]
    held = max(HELD * 4 * images * width / 2**20 for width in WIDTHS.values())
    at_most = max(peak, whole["evaluation"]["mib"] + held) / 1024
    options = f"--images {measured} --pictures {some} --size {size}" + (f" --for {images}" if images > measured else "")
    return "\n\n".join(
        [
            heading("Very many images", f"benchmarks.many {options}"),
            f"{measured:,} outputs with their targets and conditions, and as many train pairs; one thread. Seconds are the processor's.\n"
            "Memory is the peak of what no file holds (RssAnon, looked at every 10 ms); pages of memory maps can be had back at any time.",
            "### The statistics\n\nMeasured at this size, on made features, a process a judge. Features:\n"
            + ", ".join(f"{judge} {width}" for judge, width in WIDTHS.items())
            + ".",
            *tables,
            "### The passes over the pictures\n\n"
            f"Measured on {some:,} made pictures of {size} px with {SAMPLES} samples in a memory map, and as many train pairs,\n"
            "through both judges and LPIPS (alex), with the statistics of so few. Hours are extrapolated to\n"
            f"{images:,} in proportion.",
            table(["part", "s", f"h of {images:,}", "MiB"], passes),
            "What was seen through a judge, and its reference, are dropped before the next one looks. So the peak of an\n"
            "evaluation is that of one judge: of its statistics, or of its pass, to which here are added the\n"
            f"{HELD} matrices of features ({held:.0f} MiB) that are held beside the blocks of pictures by its end. The larger of the two\n"
            f"is {at_most:.1f} GiB.",
        ]
    )


def settings(judge: str) -> Evaluation:
    return Evaluation(judges=(WantedJudge(name=judge),), lpips=())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many", description="Measure the evaluation of very many images.")
    parser.add_argument("--images", type=int, default=IMAGES, help="outputs, and as many train targets (default: %(default)s)")
    parser.add_argument("--pictures", type=int, default=PICTURES, help="for the passes over pictures (default: %(default)s)")
    parser.add_argument("--for", type=int, default=0, dest="wanted", help="extrapolate to so many images, from --images and half of them")
    parser.add_argument("--size", type=int, default=256, help="of the pictures, in px (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="keep what was measured there, and go on from what is there (default: a temporary one)")
    parser.add_argument("--side", nargs="+", help=argparse.SUPPRESS)

    def section(arguments: argparse.Namespace) -> tuple[str, str]:
        if arguments.side:
            torch.set_num_threads(1)
            side, *rest = arguments.side
            given = [int(each) if each.isdecimal() else each for each in rest]
            return "many", json.dumps(SIDES[side](arguments.folder, *given))
        with tempfile.TemporaryDirectory(prefix="cgm-many-") as name:
            folder = arguments.folder or Path(name)
            folder.mkdir(parents=True, exist_ok=True)
            wanted = max(arguments.wanted, arguments.images)
            return "many", measure(folder, arguments.images, arguments.pictures, arguments.size, wanted)

    run_command(parser, section)


if __name__ == "__main__":
    main()
