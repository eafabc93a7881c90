"""LPIPS between each output and its target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.registry import About
from cgm.evaluation.lpips import load_lpips
from cgm.evaluation.metrics.metric import Metric
from cgm.evaluation.metrics.needs import TARGETS, Need
from cgm.evaluation.metrics.over_images import mean_of
from cgm.networks.fixed import weights
from cgm.networks.fixed.lpips import TRUNKS

if TYPE_CHECKING:
    import numpy as np

    from cgm.evaluation.lpips import LPIPS as Network
    from cgm.evaluation.view import Block, View


def network(view: View) -> Network | None:
    """The view's variant; None where it may be missing and its trunk's weights are not at hand."""
    from cgm.evaluation.judges import device_of  # here, since it imports torch

    wanted = view.lpips
    if wanted is None or (wanted.auto and weights.verified(TRUNKS[wanted.name]) is None):
        return None
    return load_lpips(wanted.name, device_of(view.config))


def lacking(view: View) -> str:
    if view.lpips is None:
        return "switched off (evaluation.lpips)"
    return "" if view.for_all(network) else f"the weights of {TRUNKS[view.lpips.name]} are not at hand"


def per_image(block: Block) -> np.ndarray:
    loaded = block.view.for_all(network)
    assert loaded is not None  # WEIGHTS is met
    return loaded(block.outputs, block.targets)


WEIGHTS = Need("its trunk's weights", lacking)
LPIPS = Metric(
    name="lpips",
    about=About(
        title="LPIPS",
        citation="Zhang et al., CVPR 2018, version 0.1",
        protocol="package lpips 0.1.4, images in [-1, 1] at their own size",
    ),
    group="paired",
    direction="lower",
    bounds=(0, None),
    judge="lpips",
    needs=(TARGETS, WEIGHTS),
    main=True,
    main_through_all=True,
    per_image=per_image,
    compute=mean_of("lpips"),
)
