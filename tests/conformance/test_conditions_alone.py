"""A paired dataset whose test conditions have no targets: translated, compared as a set, and no metric of a pair pretends to a value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from cgm.data.prepare import prepare
from cgm.data.prepared import open_prepared
from cgm.data.sources.folder import FOLDER
from cgm.evaluation.baselines import reference_rows
from cgm.evaluation.evaluate import evaluate_outputs
from cgm.evaluation.judges import load_judge
from cgm.evaluation.metrics import METRICS
from cgm.evaluation.metrics.needs import TARGETS
from cgm.evaluation.reference import build_reference
from cgm.experiment.settings import Evaluation


def test_test_conditions_alone(tmp_path: Path) -> None:
    for number in range(46):
        split = "train" if number < 40 else "test"
        for side, seed in (("A", number), ("B", 1000 + number)):
            if (split, side) != ("test", "B"):
                path = tmp_path / "mine" / split / side / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                blocks = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
                Image.fromarray(blocks).resize((32, 32), Image.Resampling.BICUBIC).save(path)
    settings = FOLDER.Settings(source="folder", path=str(tmp_path / "mine"), kimg=1.0, image_size=32)
    FOLDER.fetch(settings, tmp_path / "raw" / "mine", paired=True)
    prepare(settings, tmp_path / "raw" / "mine", tmp_path / "prepared" / "mine", name="mine", paired=True)
    prepared = open_prepared(tmp_path / "prepared" / "mine")
    config = Evaluation(neighbours=3, bins=4, floor_splits=2, lpips="off")
    judge = load_judge(config.judge)
    reference = build_reference(prepared, config, judge)
    outputs = np.asarray(prepared.images("test", "A"))[None]
    result, _ = evaluate_outputs(outputs, prepared, reference, config, judge)
    for name, metric in METRICS.items():
        if TARGETS in metric.needs and name != "lpips":  # which is off
            assert result["metrics"][name] is None
            assert result["notes"][name] == "the test set holds no aligned targets"
    assert result["metrics"]["kid"] is not None
    assert "baseline:target" not in {row["method"] for row in reference_rows(prepared, reference, config, judge)}
