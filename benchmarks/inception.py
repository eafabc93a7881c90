"""FID's Inception as an evaluation uses it, beside torch-fidelity's own: ``python -m benchmarks.inception --write``."""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch

from benchmarks.page import heading, run_command, spread, table
from benchmarks.untrained import INCEPTION, at_hand, judge_of

PICTURES, SIZE, REPEATS = 16, 64, 5


def measure(repeats: int) -> str:
    """The section of the page."""
    torch.set_num_threads(1)
    images = np.random.default_rng(0).integers(0, 256, (PICTURES, SIZE, SIZE, 3), dtype=np.uint8)
    judges = {"torch-fidelity's own": judge_of(INCEPTION, hastened=False), "as an evaluation uses it": judge_of(INCEPTION)}
    features, seconds = {}, {name: [] for name in judges}
    for _ in range(repeats + 1):
        for name, judge in judges.items():
            start = time.process_time()
            features[name] = judge.features(images)
            seconds[name].append((time.process_time() - start) / PICTURES * 1000)
    theirs, ours = judges
    apart = np.abs(features[ours] - features[theirs]).max() / np.abs(features[theirs]).max()
    ratio = statistics.median(a / b for a, b in zip(seconds[theirs][1:], seconds[ours][1:], strict=True))
    rows = [[name, *spread(times[1:]), "" if name == theirs else f"{ratio:.2f}×"] for name, times in seconds.items()]
    random = "" if at_hand(INCEPTION) else "; random weights, since the real ones were not at hand"
    return "\n\n".join(
        [
            heading("Inception-2015", f"benchmarks.inception --repeats {repeats}", ("torch", "torch-fidelity")),
            f"{PICTURES} pictures in one batch, one thread, in turns; ms of the processor a picture, median of {repeats} after\n"
            f"one that is not counted{random}. Normalisations are folded into the\n"
            "convolutions before them, and weights laid out channels last. Features differ by at most\n"
            f"{apart:.1e} of the largest.",
            table(["network", "ms", "min–max", "faster"], rows),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.inception", description="Measure Inception-2015 beside torch-fidelity's own."
    )
    parser.add_argument("--repeats", type=int, default=REPEATS, help="(default: %(default)s)")
    run_command(parser, lambda arguments: ("inception", measure(arguments.repeats)))


if __name__ == "__main__":
    main()
