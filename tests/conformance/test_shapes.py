"""Grey pictures and rectangles through every method: prepared, trained, translated, measured."""

from pathlib import Path

import numpy as np
import pytest
import torch
from least_settings import LEAST
from PIL import Image

from cgm.core import seeds
from cgm.data.prepare import prepare
from cgm.data.prepared import Prepared, open_prepared
from cgm.data.sources.folder import FOLDER
from cgm.evaluation.baselines import reference_rows
from cgm.evaluation.evaluate import evaluate_outputs
from cgm.evaluation.judges import load_judge
from cgm.evaluation.reference import build_reference
from cgm.experiment.params import Params, Run
from cgm.experiment.reading import parse_params
from cgm.methods import METHODS, models
from cgm.methods.method import Method
from cgm.training.checkpoint import Checkpoint
from cgm.training.trainer import Trainer

CPU = torch.device("cpu")
TRAINED = [name for name in METHODS if issubclass(METHODS[name], Method)]
SHAPES = {"grey": {"image_size": 32, "channels": 1}, "wide": {"image_size": [32, 64], "channels": 3}}


def params_of(folder: Path, shape: str) -> Params:
    entry = {"source": "folder", "path": str(folder), "kimg": 0.016, **SHAPES[shape]}
    methods = {name: LEAST.get(name, {}) for name in TRAINED if METHODS[name].needs_pairs}
    return parse_params({
        "experiment": "shapes", "seeds": [0], "compute": {"device": "cpu", "precision": "float32"},
        "training": {"batch_size": 4, "validations": 1, "log_points": 2},
        "networks": {"unet": {"width": 4, "norm": "instance"}, "resnet": {"width": 4, "blocks": 1}, "patchgan": {"width": 4, "layers": 1},
                     "dcgan": {"width": 4, "latent": 8}},
        "evaluation": {"samples": 2, "neighbours": 3, "bins": 4, "floor_splits": 2, "lpips": "off"},
        "datasets": {"mine": entry}, "methods": methods,
        "unpaired": {"datasets": {"domains": entry}, "methods": {name: LEAST.get(name, {}) for name in TRAINED if name not in methods}},
    })  # fmt: skip


@pytest.fixture(scope="module", params=SHAPES)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Params, dict[str, Prepared]]:
    folder = tmp_path_factory.mktemp(request.param)
    for number in range(40):
        for side, seed in (("A", number), ("B", 1000 + number)):
            blocks = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
            path = folder / "pictures" / side / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(blocks).resize((64, 32), Image.Resampling.BICUBIC)
            (image.convert("L") if request.param == "grey" else image).save(path)
    params = params_of(folder / "pictures", request.param)
    opened = {}
    for name, settings in params.all_datasets.items():
        FOLDER.fetch(settings, folder / "raw" / name, paired=params.is_paired(name))
        prepare(settings, folder / "raw" / name, folder / "prepared" / name, name=name, paired=params.is_paired(name))
        opened[name] = open_prepared(folder / "prepared" / name)
    return params, opened


@pytest.mark.parametrize("method", TRAINED)
def test_every_method(project: tuple[Params, dict[str, Prepared]], method: str, tmp_path: Path) -> None:
    params, opened = project
    dataset = "mine" if method in params.methods else "domains"
    prepared = opened[dataset]
    trainer = Trainer(params, Run(dataset=dataset, method=method, seed=0), prepared, Checkpoint(tmp_path / "none", ""), CPU)
    outcome = trainer.train()
    assert outcome.status == "ok"
    conditions = prepared.images("test", "A")
    outputs = models.translate(trainer.method, conditions, seeds.torch_generator(dataset, method, 0, "translate"), 4, CPU)
    assert (outputs.shape, outputs.dtype) == (conditions.shape, np.uint8)
    assert outputs.shape[1:] == (*prepared.height_width, prepared.channels)


def test_every_metric_has_a_value_or_a_reason(project: tuple[Params, dict[str, Prepared]]) -> None:
    params, opened = project
    prepared, judge = opened["mine"], load_judge(params.evaluation.judge)
    reference = build_reference(prepared, params.evaluation, judge)
    outputs = np.stack([np.asarray(prepared.images("test", "B"))] * 2)
    result, table = evaluate_outputs(outputs, prepared, reference, params.evaluation, judge)
    assert result["metrics"]["mae"] == 0
    assert result["metrics"]["ssim"] == pytest.approx(1)
    assert all(value is not None or result["notes"][name] for name, value in result["metrics"].items())
    assert (result["notes"].get("colourfulness_ratio") == "the pictures are grey") == (prepared.channels == 1)
    assert len(table) == len(prepared.ids("test", "A"))
    assert {row["method"] for row in reference_rows(prepared, reference, params.evaluation, judge)} >= {"floor:real", "baseline:target"}


def test_grey_scores_as_the_same_picture_in_colour_would(project: tuple[Params, dict[str, Prepared]]) -> None:
    params, opened = project
    prepared, judge = opened["mine"], load_judge(params.evaluation.judge)
    reference = build_reference(prepared, params.evaluation, judge)
    outputs = np.asarray(prepared.images("test", "A"))[None]
    one, _ = evaluate_outputs(outputs, prepared, reference, params.evaluation, judge)
    three, _ = evaluate_outputs(prepared.rgb("test", "A")[None], prepared, reference, params.evaluation, judge)
    assert one["metrics"] == three["metrics"]
