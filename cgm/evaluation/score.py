"""The metrics alone, for pictures in any two folders: what the stages ``reference`` and ``evaluate`` compute, without a pipeline."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cgm.core.errors import UserError
from cgm.core.progress import counted
from cgm.data.named import compare, loaded, named
from cgm.data.prepared import Prepared
from cgm.data.raster import read_picture
from cgm.evaluation import stats, uncertainty
from cgm.evaluation.baselines import floor_splits
from cgm.evaluation.evaluate import Another, evaluate_outputs
from cgm.evaluation.judges import device_of, load_judge
from cgm.evaluation.measures import key_of, planned
from cgm.evaluation.reference import Reference, Stored, build_reference
from cgm.experiment.settings import Evaluation

NAME = "score"
"""The dataset's name, from which the random choices of some metrics derive."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measure."""

    key: str
    judge: str
    """Empty: it looks at pixels."""
    value: float | None
    note: str = ""
    """Why there is no value."""
    interval: tuple[float, float] | None = None
    """At 95%, over images."""
    n_real: int = 0
    n_fake: int = 0
    inputs: float | None = None
    """What the inputs score as they are."""
    floor: float | None = None
    """What real pictures score against other real pictures: the mean over random splits."""
    floor_n: int = 0
    """Of how many pictures that is: as many as there are outputs, or half of the reals where these are fewer than twice as many."""


class Loose(Prepared):
    """Pictures in memory maps, seen as a prepared dataset: test/B the targets, test/A the inputs, train/B the reals."""

    def __init__(self, folder: Path, card: dict[str, Any], ids: Sequence[str], arrays: dict[tuple[str, str], np.ndarray]) -> None:
        super().__init__(folder, card, {("test", "A"): [(identity, "") for identity in ids]})
        self.arrays = arrays

    def images(self, split: str, side: str) -> np.ndarray:
        return self.arrays[split, side]


def score(
    outputs: Path,
    *,
    targets: Path | None = None,
    inputs: Path | None = None,
    train: Path | None = None,
    config: Evaluation,
    dataset: str = NAME,
    label: str = "",
) -> list[Row]:
    """Every measure of the pictures in the folder ``outputs``.

    ``targets``: each output's own, named like it. ``train``: the reals that distribution and diversity metrics compare with; without it,
    the targets. ``inputs``: what the outputs were made of, named like them, scored beside them. ``dataset``: with a dataset's name, and
    names in its order, the values are the pipeline's own. ``label``: under which the progress is shown on standard error; empty: only that
    of reading the pictures is.
    Raises :class:`UserError` where there is nothing to compare with, names don't belong together, sizes differ or a picture can't be read.
    """
    if targets is None and train is None:
        raise UserError("found outputs alone, expected --targets (each output's own, named like it) or --train (real pictures), or both")
    with _gathered(outputs, targets, inputs, train, dataset) as (made, prepared):
        judges = {each.name: load_judge(each.name, device_of(config)) for each in config.judges}
        references: dict[str, Stored] = {}
        for name, judge in judges.items():
            path = prepared.folder / f"{name}.npz"
            found = build_reference(prepared, config, judge, inputs_known=inputs is not None, label=label and f"{label}, reference")
            found.save(path)
            references[name] = partial(Reference.load, path)
        lead, reference = judges[config.judge], references[config.judge]
        others = [Another(name=each.name, judge=judges[each.name], reference=references[each.name]) for each in config.others]
        result, _ = evaluate_outputs(made[None], prepared, reference, config, lead, others=others, label=label)
        beside: dict[str, float | None] = {}
        if inputs is not None:
            given = np.asarray(prepared.images("test", "A"))[None]
            scored = evaluate_outputs(
                given,
                prepared,
                reference,
                config,
                lead,
                others=others,
                check_channel_order=False,
                with_left_out=False,
                label=label and f"{label}, inputs",
            )
            beside = scored[0]["metrics"]
        floors: dict[str, list[float]] = {}
        held = min(len(made), len(prepared.images("train", "B")) // 2)
        for name, judge in judges.items() if held > 1 else ():
            for scores in floor_splits(prepared, references[name](), config, judge, leads=name == config.judge, label=label):
                for metric, value in scores.items():
                    if value.value is not None:
                        floors.setdefault(key_of(metric, "" if name == config.judge else name), []).append(value.value)
        return [
            Row(
                key=key,
                judge=measure.through,
                value=result["metrics"][key],
                note=result["notes"].get(key, ""),
                interval=_interval(result, key),
                n_real=result["n_real"][key],
                n_fake=result["n_fake"][key],
                inputs=beside.get(key),
                floor=stats.t_interval(floors[key]).mean if key in floors else None,
                floor_n=held if key in floors else 0,
            )
            for key, measure in planned(config).items()
        ]


def _interval(result: Mapping[str, Any], key: str) -> tuple[float, float] | None:
    """The metric's own where it has one, else of the images."""
    if key in result["intervals"]:
        low, high = result["intervals"][key]
        return low, high
    if key not in result["left_out"]:
        return None
    found = uncertainty.crossed(np.array([result["metrics"][key]]), np.array([result["left_out"][key]]), np.array(result["group_sizes"]))
    return None if found.half_width is None else (found.mean - found.half_width, found.mean + found.half_width)


@contextmanager
def _gathered(
    outputs: Path, targets: Path | None, inputs: Path | None, train: Path | None, dataset: str
) -> Iterator[tuple[np.ndarray, Loose]]:
    """The outputs, and all else as a dataset; their files are removed at the end."""
    found = _found(outputs)
    ids = sorted(found)
    shape = read_picture(found[ids[0]]).shape
    with tempfile.TemporaryDirectory(prefix="cgm-score-") as name:
        folder = Path(name)
        made = _array(folder / "outputs.npy", outputs, [found[identity] for identity in ids], shape)
        arrays = {("test", "A"): made}
        for key, given in ((("test", "B"), targets), (("test", "A"), inputs)):
            if given is not None:
                theirs = _found(given)
                compare(given, theirs, ids, ids, f"picture of {outputs}")
                arrays[key] = _array(folder / f"{key[1]}.npy", given, [theirs[identity] for identity in ids], shape)
        if train is not None:
            reals = _found(train)
            arrays["train", "B"] = _array(folder / "train.npy", train, [reals[identity] for identity in sorted(reals)], shape)
        else:
            arrays["train", "B"] = arrays["test", "B"]
        digest = hashlib.sha256(repr(sorted(arrays)).encode())
        for array in arrays.values():
            digest.update(array.data)
        card = {
            "dataset": dataset,
            "paired": False,
            "hidden_pairs": targets is not None,
            "aligned": ["test"] if targets is not None else [],
            "image_size": list(shape[:2]),
            "channels": 3,
            "data_sha256": digest.hexdigest(),
        }
        yield made, Loose(folder, card, ids, arrays)


def _found(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise UserError(f"{folder}: not found; expected a folder with pictures")
    if not (found := named(folder)):
        raise UserError(f"{folder}: found no pictures in it and below")
    return found


def _array(path: Path, folder: Path, files: Sequence[Path], shape: tuple[int, ...]) -> np.ndarray:
    """The pictures as a memory map, uint8 N×H×W×3, so that their number is bounded by the disk."""
    height, width, channels = shape
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(len(files), height, width, channels))
    pictures = loaded(folder, files, (height, width, channels), "the first of the outputs")
    for index, picture in enumerate(counted(pictures, len(files), f"read {folder}")):
        if picture.shape == array.shape[1:]:  # loaded names the others at the end
            array[index] = picture
    array.flush()
    return np.load(path, mmap_mode="r")
