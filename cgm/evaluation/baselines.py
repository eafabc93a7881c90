"""What the numbers are read against: what real images score (floors), and what needs no training (baselines)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cgm.core.progress import parts
from cgm.core.seeds import numpy_generator
from cgm.evaluation.evaluate import Another, distribution_metrics, distribution_scores, evaluate_outputs
from cgm.evaluation.judges import Judge, device_of, load_judge
from cgm.evaluation.measures import key_of, planned
from cgm.evaluation.metrics import METRICS
from cgm.evaluation.metrics.metric import Value
from cgm.evaluation.metrics.needs import PAIRS
from cgm.evaluation.reference import Reference, Stored, opened, reals_of
from cgm.experiment.settings import Evaluation

if TYPE_CHECKING:
    from cgm.data.prepared import Prepared

CHUNK = 512
"""Images of each side held in float64 at a time; bounds the memory, changes no result."""


def reference_rows(
    prepared: Prepared,
    reference: Reference | Stored,
    config: Evaluation,
    judge: Judge | None = None,
    others: Sequence[Another] = (),
    *,
    label: str = "",
) -> list[dict[str, Any]]:
    """Rows {method, seed, metric, judge, value, n_real, n_fake, status}: the real-vs-real floor of each split, then the baselines.
    ``metric`` is the measure's key.

    The baselines go through :func:`cgm.evaluation.evaluate.evaluate_outputs`, as every method's outputs do, with ``label`` and their name.
    Under ``label`` the floors' progress is shown too; empty: none is.
    """
    judge = judge or load_judge(config.judge, device_of(config))
    rows = []
    measures = planned(config)
    floors = floor_splits(prepared, opened(reference), config, judge, label=label)
    for other in others:
        if other.judge is not None and other.reference is not None:
            found = floor_splits(prepared, opened(other.reference), config, other.judge, leads=False, label=label)
            for scores, beside in zip(floors, found, strict=True):
                scores |= {key_of(name, other.name): value for name, value in beside.items()}
    for split, scores in enumerate(floors):
        for key in (key for key in measures if key in scores):
            value = scores[key]
            rows.append(_row("floor:real", split, key, measures[key].through, value.value, value.n_real, value.n_fake))
    for method, outputs in baselines(prepared, label=label):
        result, _ = evaluate_outputs(
            outputs[None],
            prepared,
            reference,
            config,
            judge,
            others=others,
            check_channel_order=False,
            with_left_out=False,
            label=label and f"{label} {method}",
        )
        for name, found in result["metrics"].items():
            counts = result["n_real"][name], result["n_fake"][name]
            rows.append(_row(f"baseline:{method}", 0, name, result["judges"][name], found, *counts))
    return rows


def floor_splits(
    prepared: Prepared, reference: Reference, config: Evaluation, judge: Judge, *, leads: bool = True, label: str = ""
) -> list[dict[str, Value]]:
    """:func:`floor_scores` of each of ``config``'s splits. ``label``: under which the progress is shown, with the judge's name."""
    each = 1 + len(distribution_metrics(paired=prepared.paired, leads=leads))
    with parts(config.floor_splits * each, label and f"{label} floors ({judge.name})") as done:
        return [floor_scores(prepared, reference, config, judge, split, leads=leads, done=done) for split in range(config.floor_splits)]


def floor_scores(
    prepared: Prepared,
    reference: Reference,
    config: Evaluation,
    judge: Judge,
    split: int,
    *,
    leads: bool = True,
    done: Callable[[], object] = lambda: None,
) -> dict[str, Value]:
    """Real against real: as many random train targets as there are test images (at most half of them) stand in for outputs, the
    others for the train targets. ``done``: called once these reals are known, and after each metric."""
    dataset, images = str(prepared.card["dataset"]), prepared.rgb("train", "B")
    generator = numpy_generator(dataset, "", split, "evaluation/floor")
    order = generator.permutation(len(reference.features))
    count = min(len(prepared.rgb("test", "A")), len(order) // 2)
    held, rest = order[:count], order[count:]
    reals = reals_of(reference.features[rest], config, generator)
    done()
    scores = distribution_scores(
        taken(images, held),
        reference.features[held],
        reals,
        config,
        judge,
        lambda purpose: numpy_generator(dataset, "", split, f"evaluation/floor/{purpose}"),
        real_images=lambda: taken(images, rest),
        conditions=(reference.conditions[held], reference.conditions[rest]) if prepared.paired else None,
        leads=leads,
        done=done,
    )
    # a metric of pairs that has no value has no row
    return {name: value for name, value in scores.items() if value.value is not None or PAIRS not in METRICS[name].needs}


def baselines(prepared: Prepared, *, label: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Outputs (uint8 N×H×W×3 over the test split) that need no training, by name. ``label``: under which the progress of the search for
    nearest neighbours is shown.

    ``target``, the test targets themselves, is what a perfect generator would score; where test targets differ from train targets
    (a split by groups), that is worse than the real-vs-real floor.
    """
    conditions = np.asarray(prepared.rgb("test", "A"))
    yield "copy_input", conditions
    yield "mean_image", np.broadcast_to(mean_image(prepared.rgb("train", "B")), conditions.shape)
    if prepared.paired:
        nearest = nearest_neighbours(conditions, prepared.rgb("train", "A"), label=label and f"{label} nearest_neighbour")
        yield "nearest_neighbour", taken(prepared.rgb("train", "B"), nearest)
    if prepared.aligned:
        yield "target", np.asarray(prepared.rgb("test", "B"))


def taken(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """``images[rows]``, uint8, as the map of a temporary file that is gone with it: of many images they are more than the memory."""
    with tempfile.TemporaryFile(prefix="cgm-") as file:
        found = np.memmap(file, np.uint8, "w+", shape=(len(rows), *images.shape[1:]))
    for start in range(0, len(rows), CHUNK):
        found[start : start + CHUNK] = images[rows[start : start + CHUNK]]
    return found


def mean_image(images: np.ndarray) -> np.ndarray:
    """uint8 N×H×W×3 → H×W×3: the pixels' mean, rounded; the best constant output under MSE."""
    return np.rint(images.sum(axis=0, dtype=np.int64) / len(images)).astype(np.uint8)


def nearest_neighbours(images: np.ndarray, among: np.ndarray, *, label: str = "") -> np.ndarray:
    """For each of uint8 N×H×W×3 the index of the image in ``among`` at the least mean squared error; the first, if several are.
    ``label``: under which the progress is shown; empty: none is."""
    # sums of products of 8-bit integers are exact in float64, in whatever order they are taken
    found = []
    rows, others = (range(0, len(each), CHUNK) for each in (images, among))
    with parts(len(rows) * len(others), label, "block") as done:
        for row in rows:
            flat = _flat(images[row : row + CHUNK])
            best, nearest = np.full(len(flat), np.inf), np.zeros(len(flat), dtype=np.int64)
            for start in others:
                other = _flat(among[start : start + CHUNK])
                distances = np.einsum("ij,ij->i", other, other)[None] - 2 * flat @ other.T
                least = distances.argmin(axis=1)
                nearer = distances[np.arange(len(flat)), least] < best
                best[nearer], nearest[nearer] = distances.min(axis=1)[nearer], start + least[nearer]
                done()
            found.append(nearest)
    return np.concatenate(found)


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype(np.float64)


def _row(method: str, seed: int, metric: str, judge: str, value: float | None, n_real: int, n_fake: int) -> dict[str, Any]:
    return {
        "method": method,
        "seed": seed,
        "metric": metric,
        "judge": judge,
        "value": value,
        "n_real": n_real,
        "n_fake": n_fake,
        "status": "ok",
    }
