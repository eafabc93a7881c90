"""The stages ``reference`` and ``evaluate`` on many small images, through two judges that cost nothing: what they hold in memory.

``python metrics_at_scale.py FOLDER COUNT`` prints the peak resident memory of each, in bytes. Only the networks are stand-ins, for 50,000
images through the real ones would take hours; their features are as wide, and the evaluation's code is all there.
"""

from __future__ import annotations

import csv
import json
import multiprocessing
import resource
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch

from cgm.data.prepared import open_prepared
from cgm.evaluation.evaluate import Another, evaluate_outputs
from cgm.evaluation.reference import Reference, build_reference
from cgm.experiment.settings import Evaluation

SIZE = 32
WIDTHS = {"efficientnet-lite0": 1280, "inception-2015": 2048}
CONFIG = Evaluation(judges=tuple(WIDTHS), lpips="off")


class StandIn:
    """Random projections of the image, reduced to 8×8 px."""

    sha256 = "0" * 64

    def __init__(self, name: str) -> None:
        self.name = name
        self.projection = np.random.default_rng(0).normal(size=(8 * 8 * 3, WIDTHS[name])).astype(np.float32)

    def look(self, images: np.ndarray) -> tuple[np.ndarray, torch.Tensor]:
        small = images.reshape(-1, 8, SIZE // 8, 8, SIZE // 8, 3).mean(axis=(2, 4), dtype=np.float32).reshape(len(images), -1) / 255
        return np.maximum(small @ self.projection, 0), torch.from_numpy(small)

    def features(self, images: np.ndarray) -> np.ndarray:
        return np.concatenate([self.look(np.array(images[start : start + 32]))[0] for start in range(0, len(images), 32)])


def make(folder: Path, count: int) -> None:
    """As many train as test pairs of blocks in random colours; outputs that are noisy targets."""
    generator = np.random.default_rng(0)
    for split, rows in (("train", count), ("val", 1), ("test", count)):
        (folder / split).mkdir(parents=True)
        for side in ("A", "B", "outputs") if split == "test" else ("A", "B"):
            shape = (rows, SIZE, SIZE, 3) if side != "outputs" else (1, rows, SIZE, SIZE, 3)
            file = np.lib.format.open_memmap(folder / split / f"{side}.npy", mode="w+", dtype=np.uint8, shape=shape)
            for start in range(0, rows, 500):
                coarse = generator.integers(0, 256, (min(500, rows - start), 4, 4, 3), dtype=np.uint8)
                file.reshape(rows, SIZE, SIZE, 3)[start : start + 500] = coarse.repeat(SIZE // 4, axis=1).repeat(SIZE // 4, axis=2)
    with (folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
        rows = [
            (split, "AB", index, index, "") for split, count in (("train", count), ("val", 1), ("test", count)) for index in range(count)
        ]
        csv.writer(file, lineterminator="\n").writerows([("split", "side", "index", "id", "label"), *rows])
    counts = {split: {"A": rows, "B": rows} for split, rows in (("train", count), ("val", 1), ("test", count))}
    card = {
        "dataset": "blocks",
        "image_size": SIZE,
        "paired": True,
        "hidden_pairs": False,
        "channels": 3,
        "aligned": ["train", "val", "test"],
        "counts": counts,
        "data_sha256": "0" * 64,
    }
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")


def reference(folder: Path) -> None:
    torch.set_num_threads(1)
    for name in WIDTHS:
        build_reference(open_prepared(folder), CONFIG, StandIn(name)).save(folder / f"{name}.npz")


def evaluate(folder: Path) -> None:
    torch.set_num_threads(1)
    outputs = np.load(folder / "test" / "outputs.npy", mmap_mode="r")
    judges = {name: (StandIn(name), partial(Reference.load, folder / f"{name}.npz")) for name in WIDTHS}
    judge, stored = judges[CONFIG.judge]
    others = [Another(name=each.name, judge=judges[each.name][0], reference=judges[each.name][1]) for each in CONFIG.others]
    result, table = evaluate_outputs(outputs, open_prepared(folder), stored, CONFIG, judge, others=others)
    assert {name.partition(":")[0] for name, value in result["metrics"].items() if value is None} == {"ms_ssim", "intra_diversity"}
    assert len(table) == outputs.shape[1]


def measured(stage, folder: Path, results) -> None:
    stage(folder)
    results.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def main(folder: Path, count: int) -> None:
    make(folder, count)
    context = multiprocessing.get_context("spawn")  # a fresh process has no peak of its parent's
    for stage in (reference, evaluate):
        results = context.Queue()
        process = context.Process(target=measured, args=(stage, folder, results))
        process.start()
        process.join()
        print(results.get(timeout=1) if process.exitcode == 0 else f"{stage.__name__} failed", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
