"""From outputs to every metric, in one pass: each image is decoded, and sent through the judge, once.

Paired metrics, conditioning and sharpness compare with the test targets; distribution and diversity metrics with the *train* targets,
since against the same test targets any method whose outputs share their content (even a blur) would score below real-vs-real.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cgm.core.errors import UserError
from cgm.core.seeds import numpy_generator
from cgm.data.prepared import as_rgb
from cgm.evaluation.judges import Judge, load_judge
from cgm.evaluation.look import look
from cgm.evaluation.metrics import METRICS, checks
from cgm.evaluation.metrics.metric import Metric, Value
from cgm.evaluation.metrics.needs import PAIRS
from cgm.evaluation.metrics.spectrum import frequencies
from cgm.evaluation.reference import Reals, Reference
from cgm.evaluation.view import Seen, View
from cgm.experiment.settings import Evaluation

if TYPE_CHECKING:
    from cgm.data.prepared import Prepared

FIRST_COLUMNS = (
    "mae", "mse", "psnr", "ssim", "ms_ssim", "lpips", "highfreq_ratio", "gradient_ratio", "colourfulness_ratio", "pd", "pd_other",
    "intra_diversity", "retrieval", "precision", "nearest_output",
)  # fmt: skip
"""The order of columns in ``per_image.csv``, kept so that files stay comparable; further metrics' columns follow."""


def evaluate_outputs(
    outputs: np.ndarray,
    prepared: Prepared,
    reference: Reference,
    config: Evaluation,
    judge: Judge | None = None,
    *,
    check_channel_order: bool = True,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Every metric of ``outputs``, uint8 K×N×H×W×C over the test split (a memory map will do); sample 0 is what all but
    ``intra_diversity`` see.

    Returns a dictionary and a table with one row a test image, in order. The dictionary: ``metrics``, ``judges``, ``n_real``, ``n_fake``
    by metric (a value that doesn't exist is None, with its reason in ``notes``); ``intervals`` (95%) and ``chance`` (what guessing
    scores), of the metrics that have them; ``spectrum``: the mean radial spectra of the outputs and of what they are compared with, the
    test targets where they are aligned, else the train targets.
    ``check_channel_order``: whether outputs that look like BGR are an error. A baseline may look so without a mistake, where the task is to
    exchange the channels.
    Raises :class:`UserError` if outputs, data and reference don't belong together, or the outputs look like BGR.
    """
    _check(outputs, prepared, reference, config)
    outputs = as_rgb(outputs)
    judge = judge or load_judge(config.judge)
    view = _view(outputs, prepared, reference, config, judge)
    if check_channel_order and view.targets is not None:
        _check_channel_order(view.seen.channels)
    values = {name: metric.value(view) for name, metric in METRICS.items()}
    columns = {**view.columns, **{name: column for value in values.values() for name, column in value.columns.items()}}
    result = {
        "metrics": {name: value.value for name, value in values.items()},
        "judges": {name: METRICS[name].seen_through(judge.name) for name in values},
        "n_real": {name: value.n_real for name, value in values.items()},
        "n_fake": {name: value.n_fake for name, value in values.items()},
        "notes": {name: value.note for name, value in values.items() if value.value is None},
        "intervals": {name: list(value.interval) for name, value in values.items() if value.interval is not None},
        "chance": {name: value.chance for name, value in values.items() if value.chance is not None},
        "spectrum": {
            "frequencies": frequencies(*outputs.shape[2:4]).tolist(),
            "outputs": view.spectrum.tolist(),
            "targets": view.real_spectrum.tolist(),
        },
    }
    order = sorted(columns, key=lambda name: FIRST_COLUMNS.index(name) if name in FIRST_COLUMNS else len(FIRST_COLUMNS))
    table = {"index": np.arange(view.count), "id": prepared.ids("test", "A"), **{name: columns[name] for name in order}}
    return result, pd.DataFrame(table)


def distribution_scores(
    images: np.ndarray,
    features: np.ndarray,
    reals: Reals,
    config: Evaluation,
    judge: Judge,
    generator: Callable[[str], np.random.Generator],
    *,
    real_images: Callable[[], np.ndarray],
    conditions: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, Value]:
    """What can be said of any set of images beside a set of reals: the metrics that have a floor, by name.

    ``images``: uint8 N×H×W×3, with their ``features`` N×D. ``real_images``: gives those behind ``reals``, to the metrics that ask for them.
    ``conditions``: the features of the images' and of the reals' conditions; without them, metrics of pairs are left out.
    ``generator``: for a purpose, a random generator.
    """
    own, theirs = conditions or (None, None)
    view = View(
        samples=images[None],
        reals=reals,
        real_images=real_images,
        conditions=own,
        real_conditions=theirs,
        judge=judge,
        config=config,
        generator=generator,
        look=lambda view: Seen(features=features),
    )
    return {metric.name: metric.value(view) for metric in distribution_metrics(paired=conditions is not None)}


def distribution_metrics(*, paired: bool) -> list[Metric]:
    """Those that have a floor; last, and only where the data are ``paired``, the metrics of pairs."""
    found: Iterable[Metric] = (metric for metric in METRICS.values() if metric.has_floor and (paired or PAIRS not in metric.needs))
    return sorted(found, key=lambda metric: PAIRS in metric.needs)


def _view(outputs: np.ndarray, prepared: Prepared, reference: Reference, config: Evaluation, judge: Judge) -> View:
    dataset = str(prepared.card["dataset"])
    return View(
        channels=prepared.channels,
        samples=outputs,
        targets=prepared.rgb("test", "B") if prepared.aligned else None,
        reals=reference,
        real_images=lambda: prepared.rgb("train", "B"),
        train_spectrum=reference.spectrum,
        conditions=reference.test_conditions if prepared.paired else None,
        real_conditions=reference.conditions if prepared.paired else None,
        judge=judge,
        config=config,
        generator=lambda purpose: numpy_generator(dataset, "", 0, f"evaluation/{purpose}"),
        look=look,
    )


def _check_channel_order(found: checks.ChannelOrder | None) -> None:
    if found is not None and checks.looks_like_bgr(found):
        raise UserError(
            "outputs: found images that fit their targets only once red and blue are exchanged (BGR), expected RGB; exchange them where "
            "they are made (image[..., ::-1]) and run the stage 'translate' again"
        )


def _check(outputs: np.ndarray, prepared: Prepared, reference: Reference, config: Evaluation) -> None:
    (height, width), count = prepared.height_width, len(prepared.ids("test", "A"))
    fits = outputs.ndim == 5 and outputs.shape[1:4] == (count, height, width) and outputs.shape[4] in (prepared.channels, 3)
    if outputs.dtype != np.uint8 or len(outputs) == 0 or not fits:
        mistake = checks.image_mistake(outputs[0]) if outputs.ndim == 5 and len(outputs) else ""
        raise UserError(
            f"outputs: found {outputs.dtype} {'×'.join(map(str, outputs.shape))}, expected uint8 K×{count}×{height}×{width}"
            f"×{prepared.channels} (samples × test images × height × width × channels)"
            + (f": each sample: {mistake}" if mistake else "")
            + "; then run the stage "
            "'translate' again"
        )
    facts: Mapping[str, tuple[str, str]] = {
        "judge": (reference.judge, config.judge),
        "data_sha256": (reference.data_sha256, prepared.data_sha256),
    }
    for name, (found, expected) in facts.items():
        if found != expected:
            raise UserError(f"reference: its {name} is {found}, expected {expected}; run the stage 'reference' of this dataset again")
