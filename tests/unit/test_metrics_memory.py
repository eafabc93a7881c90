"""Memory grows in proportion to the images, and 50,000 of them fit into 4 GiB."""

import subprocess
import sys
from pathlib import Path

import pytest

FEWER, MORE, ASKED = 8000, 14000, 50_000
LIMIT = 4 * 2**30


@pytest.mark.slow
def test_50000_images_fit(tmp_path):
    """Peaks at two sizes, at which every block is full, give that at a third: nothing in the evaluation grows faster than the images."""
    peaks = []
    for count in (FEWER, MORE):
        command = [sys.executable, str(Path(__file__).with_name("metrics_at_scale.py")), str(tmp_path / str(count)), str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append([int(line) for line in done.stdout.splitlines()])
    for fewer, more in zip(*peaks, strict=True):  # of the reference, of the evaluation
        assert more + (more - fewer) / (MORE - FEWER) * (ASKED - MORE) < LIMIT
