"""How many of the outputs differ at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.lazy import np
from cgm.core.registry import About
from cgm.evaluation.metrics import checks
from cgm.evaluation.metrics.blocks import digests, distinct
from cgm.evaluation.metrics.metric import Metric, Value

if TYPE_CHECKING:
    from cgm.evaluation.view import Parts, View


def distinct_share(images: np.ndarray) -> float:
    """Different images ÷ images, of uint8 N×H×W×3. Bytes count: any noise makes all of them differ."""
    return distinct(checks.images(images, "images")) / len(images)


def compute(view: View) -> Value:
    return Value(value=distinct_share(view.outputs), n_fake=view.count)


def of_parts(parts: Parts) -> list[float]:
    _, found = np.unique(digests(parts.view.outputs), return_inverse=True)
    return [len(np.unique(found[part])) / part.sum() for part in parts.kept]


DISTINCT_SHARE = Metric(
    name="distinct_share",
    about=About(
        title="distinct outputs",
        citation="this benchmark",
        protocol="different images ÷ images, byte for byte; any noise makes all of them differ",
    ),
    group="diversity",
    direction="higher",
    bounds=(0, 1),
    ranked=False,
    compute=compute,
    of_parts=of_parts,
)
