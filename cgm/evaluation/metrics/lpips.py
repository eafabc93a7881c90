"""LPIPS between each output and its target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgm.core.registry import About
from cgm.evaluation.lpips import LPIPS_JUDGE, load_lpips
from cgm.evaluation.metrics.metric import Metric
from cgm.evaluation.metrics.needs import TARGETS, Need
from cgm.evaluation.metrics.over_images import mean_of
from cgm.networks.fixed import FIXED

if TYPE_CHECKING:
    import numpy as np

    from cgm.evaluation.lpips import LPIPS as Network
    from cgm.evaluation.view import Block, View


def network(view: View) -> Network | None:
    return load_lpips(view.config.lpips)


def lacking(view: View) -> str:
    if view.config.lpips == "off":
        return "switched off (evaluation.lpips)"
    return "" if view.once(network) else f"the AlexNet weights ({FIXED['alexnet'].weights.file}) are not at hand"


def per_image(block: Block) -> np.ndarray:
    loaded = block.view.once(network)
    assert loaded is not None  # WEIGHTS is met
    return loaded(block.outputs, block.targets)


WEIGHTS = Need("AlexNet's weights", lacking)
LPIPS = Metric(
    name="lpips",
    about=About(
        title="LPIPS",
        citation="Zhang et al., CVPR 2018, version 0.1, AlexNet",
        protocol="package lpips 0.1.4, images in [-1, 1] at their own size",
    ),
    group="paired",
    direction="lower",
    bounds=(0, None),
    judge="lpips",
    network=LPIPS_JUDGE,
    needs=(TARGETS, WEIGHTS),
    main=True,
    per_image=per_image,
    compute=mean_of("lpips"),
)
