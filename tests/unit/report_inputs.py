"""A small tree of input files in the stages' formats; the values are made up, the report must not care."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from cgm.evaluation.measures import planned
from cgm.experiment.params import Params, Run
from cgm.experiment.reading import parse_params

SIZE = 32
COUNTS = {"train": 6, "val": 2, "test": 10}
JUDGE = {"name": "efficientnet-lite0", "sha256": "5" * 64}
BASE = {"mae": 0.06, "psnr": 20.0, "ssim": 0.8, "pd": 0.8, "kid": 0.02, "fid": 160.0, "vendi_ratio": 0.9, "jsd": 0.03}
LPIPS_NOTE = "the weights of alexnet_100% are not at hand"


def make_params(seeds: list[int], *, experiment: str = "default", unpaired: bool = False) -> Params:
    raw: dict[str, Any] = {
        "experiment": experiment,
        "seeds": seeds,
        "training": {"batch_size": 8},
        "networks": {"unet": {"width": 32}, "patchgan": {"layers": 2}},
        "datasets": {"icons_a": {"source": "openmoji", "image_size": SIZE, "kimg": 1.0}},
        "methods": {
            "mae": {},
            "pix2pix": {},
            "perceptual": {"loss_network": "efficientnet-lite1"},
            "pix2pix_l10": {"implementation": "pix2pix", "l1_weight": 10.0},
        },
    }
    if unpaired:
        raw["unpaired"] = {
            "datasets": {"style": {"source": "fluent-unpaired", "image_size": SIZE, "kimg": 1.0}},
            "methods": {"cyclegan": {}},
        }
    return parse_params(raw)


def write_inputs(root: Path, params: Params, *, diverged: tuple[str, ...] = (), missing: tuple[str, ...] = ()) -> None:
    """Everything that ``params`` plans, but for the runs ``dataset/method/seed`` that are ``missing``."""
    for name in params.all_datasets:
        write_prepared(root / "data/prepared" / name, name, params.is_paired(name))
        write_json(
            root / f"data/reference/{name}/scores.json", {"dataset": name, "device": "cpu", "judge": JUDGE, "rows": reference_rows(params)}
        )
    for run in params.runs():
        if str(run) not in missing:
            write_run(root, params, run, "diverged" if str(run) in diverged else "ok")


def write_prepared(folder: Path, name: str, paired: bool) -> None:
    generator = np.random.default_rng(0)
    digest = hashlib.sha256()
    rows = [["split", "side", "index", "id", "label"]]
    for split, count in COUNTS.items():
        (folder / split).mkdir(parents=True)
        for side in "AB":
            np.save(folder / split / f"{side}.npy", generator.integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8))
            digest.update((folder / split / f"{side}.npy").read_bytes())
        for side in ["AB"] if paired or split != "train" else ["A", "B"]:
            rows += [[split, side, str(index), f"{split}{side}{index}", f"thing {index}"] for index in range(count)]
    with (folder / "index.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    card = {
        "dataset": name, "source": "openmoji" if paired else "fluent-unpaired", "variant": "base", "image_size": SIZE, "paired": paired,
        "hidden_pairs": not paired, "channels": 3, "aligned": ["train", "val", "test"] if paired else ["val", "test"],
        "counts": {split: {"A": count, "B": count} for split, count in COUNTS.items()},
        "licence": "CC BY-SA 4.0",
        "attribution": "<script>alert(1)</script> & friends", "archive": {"name": "a.tar.xz", "sha256": "a" * 64},
        "data_sha256": digest.hexdigest(), "leakage": {"passed": True, "train/test": {"shared_ids": 0}}, "rasteriser": "resvg-py 0.5.0",
    }  # fmt: skip
    write_json(folder / "card.json", card)


def write_run(root: Path, params: Params, run: Run, status: str = "ok") -> None:
    folder = root / "results" / run.dataset / run.method / str(run.seed)
    settings = params.method(run.dataset, run.method)
    adversarial, stochastic = settings.implementation in ("pix2pix", "cyclegan"), settings.implementation == "pix2pix"
    card = json.loads((root / "data/prepared" / run.dataset / "card.json").read_text())
    order = list(params.methods).index(run.method) if run.method in params.methods else 0
    record = {
        "dataset": run.dataset, "method": run.method, "seed": run.seed, "status": status,
        "reason": "loss D/fake is not finite at step 3" if status == "diverged" else "",
        "config": {
            "compute": params.compute.model_dump(), "training": params.training.model_dump(),
            "networks": params.networks_of(run.dataset, run.method).model_dump(),
            "dataset": params.all_datasets[run.dataset].model_dump(), "method": settings.model_dump(), "judge": JUDGE["name"],
        },
        "data_sha256": card["data_sha256"], "code_sha256": "c" * 64, "versions": {"python": "3.11.4", "torch": "2.15.0", "cgm": "0.1.0"},
        "device": "CPU (x86_64)", "precision": "float32", "threads": 1, "deterministic": True, "compiled": False,
        "seconds": 12.5 + run.seed,
        "images_per_second": 81.25, "peak_memory_bytes": 123456789, "parameters": {"generator": 1000, "discriminator": 10 * adversarial},
        "receptive_field": 34 if adversarial else None, "steps": 125, "kimg": 1.0, "resumed": 0, "stochastic": stochastic,
        "supervision": "paired" if params.is_paired(run.dataset) else "unpaired",
        "loss_network": [{"name": "efficientnet-lite1", "sha256": "7" * 64}] if settings.implementation == "perceptual" else [],
    }  # fmt: skip
    write_json(folder / "run.json", record)
    write_json(folder / "metrics.json", {**metrics(params, order, run.seed, stochastic), "dataset": run.dataset, "method": run.method,
                                         "seed": run.seed, "status": status})  # fmt: skip
    write_history(folder / "history.csv", adversarial, 1 + order)
    generator = np.random.default_rng(run.seed)
    np.save(folder / "outputs.npy", generator.integers(0, 256, (3 if stochastic else 1, COUNTS["test"], SIZE, SIZE, 3), dtype=np.uint8))


def write_history(path: Path, adversarial: bool, size: float) -> None:
    """Five logged rows after the one before the first step; losses and gradients are as large as ``size``."""
    losses = ["G/adversarial", "D/real"] if adversarial else ["G/regression"]
    norms = ["gradient/G", "gradient/D"] if adversarial else ["gradient/G"]
    accuracy = ["accuracy/D"] if adversarial else []
    lines = [",".join(["kimg", "step", "learning_rate", "val/mae", "val/pd", "val/vendi_ratio", *losses, *norms, *accuracy])]
    lines.append(",".join(["0", "0", "", "0.4", "2.2", "0.1", *("" for _ in (*losses, *norms, *accuracy))]))
    for step, norm in enumerate((3, 1, 2, 8, 2), start=1):
        validated = [f"{0.2 / step}", f"{1 / step}", f"{0.1 + step / 10}"] if step % 2 else ["", "", ""]
        trained = [*(f"{size / step}" for _ in losses), *(f"{size * norm}" for _ in norms), *(f"{0.5 + step / 20}" for _ in accuracy)]
        lines.append(",".join([f"{step / 5}", f"{25 * step}", "0.0002", *validated, *trained]))
    path.write_text("\n".join(lines) + "\n")


def metrics(params: Params, order: int, seed: int, stochastic: bool = False) -> dict[str, Any]:
    """Method number ``order`` is worse than the one before by far more than seeds differ."""
    measures = planned(params.evaluation)
    values: dict[str, float | None] = {key: BASE.get(key, 0.5) * (1 + 0.3 * order + 0.01 * seed) for key in measures}
    notes = {"lpips": LPIPS_NOTE}
    values["lpips"] = None
    if not stochastic:
        values["intra_diversity"], notes["intra_diversity"] = None, "one output per condition"
    return {
        "device": "cpu",
        "metrics": values,
        "judges": {key: measure.through for key, measure in measures.items()},
        "n_real": {key: 0 if values[key] is None else 10 for key in measures},
        "n_fake": {key: 0 if values[key] is None else 10 for key in measures},
        "notes": notes,
        "intervals": {"kid": [0.01, 0.01 + 0.002 * (1 + seed)]},
        "spectrum": {"frequencies": [0.1, 0.3, 0.5], "outputs": [1.0, 0.1, 0.01 / (1 + order)], "targets": [1.0, 0.1, 0.01]},
    }


def reference_rows(params: Params) -> list[dict[str, Any]]:
    rows = [
        {"method": "floor:real", "seed": split, "metric": metric, "judge": JUDGE["name"], "value": value + 1e-4 * split, "n_real": 5,
         "n_fake": 1, "status": "ok"}
        for metric, value in (("kid", -0.001), ("fid", 110.0), ("recall", 0.8)) for split in range(3)
    ]  # fmt: skip
    for method in ("copy_input", "mean_image", "target"):
        scores = metrics(params, 2, 0)
        rows += [
            {"method": f"baseline:{method}", "seed": 0, "metric": name, "judge": scores["judges"][name], "value": scores["metrics"][name],
             "n_real": scores["n_real"][name], "n_fake": scores["n_fake"][name], "status": "ok"}
            for name in scores["metrics"]
        ]  # fmt: skip
    return rows


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
