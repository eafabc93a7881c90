"""A project with a few really trained runs, of two steps each: what translates pictures, and what takes pictures in, is tested on them."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from cgm.data.prepare import prepare
from cgm.data.prepared import open_prepared
from cgm.data.sources import SOURCES
from cgm.experiment import paths
from cgm.experiment.params import Params, Run
from cgm.experiment.reading import parse_params, read_yaml
from pipeline.evaluate import run as evaluate
from pipeline.reference import run as make_reference
from pipeline.train import train
from pipeline.translate import translate

ROOT = Path(__file__).parents[2]
DATASET = "openmoji"
COUNT = 20
"""Pictures a split: a batch of 16, and one that isn't full."""


def make_params(folder: Path, methods: dict[str, dict[str, Any]], seeds: list[int]) -> Params:
    """Written to ``params.yaml``, too. The stages take the fingerprint of the code that they find in the project's folder."""
    for name in ("cgm", "pipeline", "data/embedded", "dvc.yaml"):
        if not (folder / name).exists():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).symlink_to(ROOT / name)
    raw = read_yaml(ROOT / "experiments/smoke.yaml", remedy="")
    raw |= {"seeds": seeds, "methods": methods, "unpaired": {"datasets": {}, "methods": {}}}
    raw["datasets"] = {DATASET: {**raw["datasets"][DATASET], "kimg": 0.016, "limit": COUNT}}
    (folder / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    return parse_params(raw)


def make_data(folder: Path, params: Params) -> None:
    """Fetch and prepare."""
    settings = params.datasets[DATASET]
    source = SOURCES[settings.source]
    source.fetch(settings, folder / paths.raw(DATASET), paired=True, root=ROOT)
    prepare(settings, folder / paths.raw(DATASET), folder / paths.prepared(DATASET), name=DATASET, paired=True)


def make_run(folder: Path, params: Params, run: Run) -> None:
    """The stages ``train`` and ``translate``."""
    with chdir(folder):
        train(params, run.dataset, run.method, run.seed)
        translate(params, run.dataset, run.method, run.seed)


def score(folder: Path, params: Params, runs: list[Run]) -> None:
    """The stages ``reference`` and ``evaluate``."""
    with chdir(folder):
        make_reference(params, DATASET)
        for each in runs:
            evaluate(params, each.dataset, each.method, each.seed)


def write_pictures(folder: Path, names: list[str], pictures: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in zip(names, pictures, strict=True):
        Image.fromarray(picture).save(folder / f"{name}.png")


def write_test_inputs(project: Path, folder: Path) -> None:
    prepared = open_prepared(project / paths.prepared(DATASET))
    write_pictures(folder, prepared.ids("test", "A"), prepared.images("test", "A"))
