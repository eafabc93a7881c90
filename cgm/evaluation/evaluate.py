"""From outputs to every metric, in one pass a judge: each image is decoded, and sent through the judge, once. What was seen through one is
dropped before the next one looks, so that memory doesn't grow with their number.

Paired metrics, conditioning and sharpness compare with the test targets; distribution and diversity metrics with the *train* targets,
since against the same test targets any method whose outputs share their content (even a blur) would score below real-vs-real.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cgm.core.errors import UserError
from cgm.core.progress import PATIENCE, counted
from cgm.core.seeds import numpy_generator
from cgm.data.prepared import as_rgb
from cgm.evaluation.judges import Judge, device_name, device_of, load_judge
from cgm.evaluation.look import look
from cgm.evaluation.measures import Measure, key_of, network_of, planned
from cgm.evaluation.metrics import METRICS, checks
from cgm.evaluation.metrics.metric import Metric, Value
from cgm.evaluation.metrics.needs import PAIRS
from cgm.evaluation.metrics.spectrum import frequencies
from cgm.evaluation.reference import Reals, Reference, Stored, opened
from cgm.evaluation.swap import input_swap
from cgm.evaluation.view import Parts, Seen, View
from cgm.experiment.settings import Evaluation, WantedLPIPS

if TYPE_CHECKING:
    from cgm.data.prepared import Prepared

FIRST_COLUMNS = (
    "mae", "mse", "psnr", "ssim", "ms_ssim", "lpips", "highfreq_ratio", "gradient_ratio", "colourfulness_ratio", "pd", "pd_other",
    "intra_diversity", "retrieval", "precision", "nearest_output",
)  # fmt: skip
"""The order of columns in ``per_image.csv``, kept so that files stay comparable; further metrics' columns follow."""


MOST_LEFT_OUT = 5000
"""Test images beyond which nothing is left out: every set metric is computed once a group. What so many images leave open is little."""


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What was seen through one network, by measure and by column."""

    values: dict[str, Value]
    columns: dict[str, np.ndarray]
    left_out: dict[str, list[float | None]]
    group_sizes: list[int]


@dataclass(frozen=True, kw_only=True)
class Another:
    """A judge beside the one that leads."""

    name: str
    judge: Judge | None = None
    reference: Reference | Stored | None = None
    reason: str = ""
    """Why it can't be had, where there is no judge."""


def evaluate_outputs(
    outputs: np.ndarray,
    prepared: Prepared,
    reference: Reference | Stored,
    config: Evaluation,
    judge: Judge | None = None,
    *,
    others: Sequence[Another] = (),
    check_channel_order: bool = True,
    with_left_out: bool = True,
    label: str = "",
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Every measure (:mod:`cgm.evaluation.measures`) of ``outputs``, uint8 K×N×H×W×C over the test split (a memory map will do); sample 0
    is what all but ``intra_diversity`` see.

    ``judge``, ``reference``: the judge that leads, if it is loaded already, and its reference; ``others``: the rest of them. A reference
    that is given as :data:`~cgm.evaluation.reference.Stored` is held only while its judge's metrics are computed. ``label``: under which
    the progress is shown on standard error, with the network behind it; empty: nothing is.
    Returns a dictionary and a table with one row a test image, in order. The dictionary: ``device``, where networks looked; ``metrics``,
    ``judges``, ``n_real``, ``n_fake`` by measure (a value that doesn't exist is None, with its reason in ``notes``); ``intervals`` (95%)
    and ``chance`` (what guessing scores), of those that have them; ``spectrum``: the mean radial spectra of the outputs and of what they
    are compared with, the test targets where they are aligned, else the train targets; ``left_out``: each measure without one group of
    test images at a time, and ``group_sizes``, from which :mod:`cgm.evaluation.uncertainty` makes intervals; ``swap``: the input-swap
    matrix (:mod:`cgm.evaluation.swap`). ``left_out`` and ``group_sizes`` are empty for one group, for more than :data:`MOST_LEFT_OUT`
    images, and if not ``with_left_out``.
    ``check_channel_order``: whether outputs that look like BGR are an error. A baseline may look so without a mistake, where the task is to
    exchange the channels.
    Raises :class:`UserError` if outputs, data and reference don't belong together, or the outputs look like BGR.
    """
    for other in others:  # a mistake is told before anything is looked at
        if other.judge is not None and other.reference is not None:
            _check(outputs, prepared, opened(other.reference), other.name)
    known = opened(reference)
    _check(outputs, prepared, known, config.judge)
    outputs = as_rgb(outputs)
    groups = known.groups if with_left_out else None
    judge = judge or load_judge(config.judge, device_of(config))
    measures = planned(config)
    first, *variants = config.lpips or (None,)

    def told(network: str) -> str:
        return label and f"{label} ({network})"

    lead = _view(outputs, prepared, known, config, judge, METRICS, first, told(config.judge))
    if check_channel_order and lead.targets is not None:
        _check_channel_order(lead.seen.channels)
    found = {"": _through("", lead, measures, groups, told(config.judge))}
    count, spectra = lead.count, {"outputs": lead.spectrum.tolist(), "targets": lead.real_spectrum.tolist()}
    swapped = input_swap(lead, prepared.ids("test", "A"))
    del lead
    perceptual = {name: metric for name, metric in METRICS.items() if metric.judge == "lpips"}
    for each in filter(None, variants):
        part = _view(outputs, prepared, known, config, judge, perceptual, each, told(each.name))
        found[each.name] = _through(each.name, part, measures, groups, told(each.name))
        del part
    del known
    judged = {name: metric for name, metric in METRICS.items() if metric.judge == "judge"}
    for other in others:
        beside = _beside(other, outputs, prepared, config, judged, told(other.name))
        found[other.name] = _through(other.name, beside, measures, groups, told(other.name))
        del beside

    values = {key: found[network_of(key)].values[key] for key in measures if network_of(key) in found}
    left_out = {key: found[network_of(key)].left_out[key] for key in values if key in found[network_of(key)].left_out}
    columns: dict[str, np.ndarray] = {}
    for network in ("", *(other.name for other in others), *(each.name for each in variants if each)):
        columns |= found[network].columns
    result = {
        "device": device_name(config),
        "metrics": {key: value.value for key, value in values.items()},
        "judges": {key: measures[key].through for key in values},
        "n_real": {key: value.n_real for key, value in values.items()},
        "n_fake": {key: value.n_fake for key, value in values.items()},
        "notes": {key: value.note for key, value in values.items() if value.value is None},
        "intervals": {key: list(value.interval) for key, value in values.items() if value.interval is not None},
        "chance": {key: value.chance for key, value in values.items() if value.chance is not None},
        "left_out": left_out,
        "group_sizes": found[""].group_sizes,
        "spectrum": {"frequencies": frequencies(*outputs.shape[2:4]).tolist(), **spectra},
        "swap": swapped,
    }
    order = sorted(columns, key=lambda name: FIRST_COLUMNS.index(name) if name in FIRST_COLUMNS else len(FIRST_COLUMNS))
    table = {"index": np.arange(count), "id": prepared.ids("test", "A"), **{name: columns[name] for name in order}}
    return result, pd.DataFrame(table)


def _through(network: str, view: View | str, measures: Mapping[str, Measure], groups: np.ndarray | None, label: str) -> _Found:
    """What is seen through one network. ``view``: or the reason why there is none."""
    own = {key: measure for key, measure in measures.items() if network_of(key) == network}
    if isinstance(view, View):
        _ = view.seen  # its progress comes first
    shown = counted(own.items(), len(own), f"{label}: statistics", "metric", PATIENCE) if label else own.items()
    values = {key: _value(measure.metric, view) for key, measure in shown}
    columns = _columns(view, values.values()) if isinstance(view, View) else {}
    return _Found(
        values=values,
        columns={key_of(column, network): column_values for column, column_values in columns.items()},
        **_left_out(own, view, values, groups),
    )


def _beside(
    other: Another, outputs: np.ndarray, prepared: Prepared, config: Evaluation, metrics: Mapping[str, Metric], label: str
) -> View | str:
    """Through a judge beside the one that leads, or the reason why it can't be had."""
    if other.judge is None or other.reference is None:
        return other.reason
    return _view(outputs, prepared, opened(other.reference), config, other.judge, metrics, None, label)


def _value(metric: Metric, view: View | str) -> Value:
    """``view``: or the reason why there is none."""
    return Value(value=None, note=view) if isinstance(view, str) else metric.value(view)


def _left_out(measures: Mapping[str, Measure], view: View | str, values: Mapping[str, Value], groups: np.ndarray | None) -> dict[str, Any]:
    """``left_out`` and ``group_sizes``. Nothing of a measure that has no value without some group, nor of a metric that sends whole sets
    through a network of its own: it would look at all images again, for each group."""
    sizes = np.zeros(0, np.int64) if groups is None else np.bincount(groups)
    if groups is None or len(sizes) < 2 or len(groups) > MOST_LEFT_OUT:
        return {"left_out": {}, "group_sizes": []}
    kept = groups != np.arange(len(sizes))[:, None]
    parts = None if isinstance(view, str) else Parts(view, kept)
    found = {
        key: measures[key].metric.values_of_parts(parts)
        for key, value in values.items()
        if parts is not None and value.value is not None and not (measures[key].metric.network and measures[key].metric.per_image is None)
    }
    return {"left_out": {key: without for key, without in found.items() if None not in without}, "group_sizes": sizes.tolist()}


def _columns(view: View, values: Iterable[Value]) -> dict[str, np.ndarray]:
    return {**view.columns, **{name: column for value in values for name, column in value.columns.items()}}


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
    leads: bool = True,
    done: Callable[[], object] = lambda: None,
) -> dict[str, Value]:
    """What can be said of any set of images beside a set of reals: the metrics that have a floor, by name.

    ``images``: uint8 N×H×W×3, with their ``features`` N×D. ``real_images``: gives those behind ``reals``, to the metrics that ask for them.
    ``conditions``: the features of the images' and of the reals' conditions; without them, metrics of pairs are left out.
    ``generator``: for a purpose, a random generator. ``leads``: False for a judge beside the leading one, which is asked only what looks
    through a judge. ``done``: called after each metric.
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
    values: dict[str, Value] = {}
    for metric in distribution_metrics(paired=conditions is not None, leads=leads):
        values[metric.name] = metric.value(view)
        done()
    return values


def distribution_metrics(*, paired: bool, leads: bool = True) -> list[Metric]:
    """Those that have a floor, of a judge that ``leads`` or of one beside it; last, and only where the data are ``paired``, the metrics of
    pairs."""
    asked = (metric for metric in METRICS.values() if leads or metric.judge == "judge")
    found = (metric for metric in asked if metric.has_floor and (paired or PAIRS not in metric.needs))
    return sorted(found, key=lambda metric: PAIRS in metric.needs)


def _view(
    outputs: np.ndarray,
    prepared: Prepared,
    reference: Reference,
    config: Evaluation,
    judge: Judge,
    metrics: Mapping[str, Metric],
    lpips: WantedLPIPS | None,
    label: str,
) -> View:
    dataset = str(prepared.card["dataset"])
    return View(
        channels=prepared.channels,
        samples=outputs,
        targets=prepared.rgb("test", "B") if prepared.aligned else None,
        known_targets=reference.known_targets,
        reals=reference,
        real_images=lambda: prepared.rgb("train", "B"),
        train_spectrum=reference.spectrum,
        conditions=reference.test_conditions if prepared.paired else None,
        real_conditions=reference.conditions if prepared.paired else None,
        inputs=reference.inputs,
        judge=judge,
        lpips=lpips,
        config=config,
        metrics=metrics,
        generator=lambda purpose: numpy_generator(dataset, "", 0, f"evaluation/{purpose}"),
        look=partial(look, label=label),
    )


def _check_channel_order(found: checks.ChannelOrder | None) -> None:
    if found is not None and checks.looks_like_bgr(found):
        raise UserError(
            "outputs: found images that fit their targets only once red and blue are exchanged (BGR), expected RGB; exchange them where "
            "they are made (image[..., ::-1]) and run the stage 'translate' again"
        )


def _check(outputs: np.ndarray, prepared: Prepared, reference: Reference, judge: str) -> None:
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
        "judge": (reference.judge, judge),
        "data_sha256": (reference.data_sha256, prepared.data_sha256),
    }
    for name, (found, expected) in facts.items():
        if found != expected:
            raise UserError(f"reference: its {name} is {found}, expected {expected}; run the stage 'reference' of this dataset again")
