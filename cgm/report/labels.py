"""Names that people read: of metrics, judges, methods, baselines."""

from __future__ import annotations

import re

from cgm.config import Method
from cgm.methods import METHODS as IMPLEMENTATIONS
from cgm.metrics import METRICS

SMOKE = "SMOKE PROFILE: numbers mean nothing"
INCEPTION = "inception-2015"
SHORT_JUDGES = {"efficientnet-lite0": "EffLite0", "efficientnet-lite1": "EffLite1", "vgg16": "VGG16", INCEPTION: "Inception"}
MAIN_METRICS = (
    "mae", "psnr", "ssim", "pd", "lpips", "kid", "fid", "precision", "recall", "coverage", "vendi_ratio", "jsd", "pairgain", "retrieval",
    "highfreq_ratio", "colourfulness_ratio",
)  # fmt: skip
GROUPS = {
    "paired": "Fidelity to the target",
    "distribution": "Realism",
    "diversity": "Diversity",
    "conditioning": "Conditioning",
    "sharpness": "Sharpness",
}
SHORT_TITLES = {"highfreq_ratio": "HF ratio", "colourfulness_ratio": "colour ratio"}
SCALES = {"kid": 1000.0}
"""Shown times this, written as :data:`SCALED`."""
SCALED = "×10³"
DECIMALS = {"mae": 4, "mse": 4, "psnr": 2, "kid": 1, "fid": 1}
"""At most this many; 3 elsewhere."""
REFERENCES = {
    "floor:real": "Real vs real (floor)",
    "baseline:copy_input": "Copy the input",
    "baseline:mean_image": "Mean image",
    "baseline:nearest_neighbour": "Nearest training neighbour",
    "baseline:target": "Test targets themselves",
}


def metric_title(metric: str, judge: str) -> str:
    """A metric's heading. Only Inception-2015 makes an 'FID' or 'KID'; any other judge names itself."""
    short = SHORT_JUDGES.get(judge, judge)
    if metric in ("kid", "fid"):
        canonical = {"kid": "KID", "fid": "FID"}[metric]
        return canonical if judge == INCEPTION else f"{'KD' if metric == 'kid' else 'FD'}-{short or '?'}"
    if metric == "fjd" and judge == INCEPTION:
        return "FJD"
    if metric in ("pd", "fjd"):
        return f"{metric.upper()}-{short or '?'}"
    return SHORT_TITLES.get(metric) or METRICS[metric].title


def scaled_title(metric: str, judge: str) -> str:
    """Heading with the factor by which the shown number is multiplied."""
    return metric_title(metric, judge) + (f" {SCALED}" if metric in SCALES else "")


def arrow(metric: str) -> str:
    """Which way is better: ↑, ↓, or → and the target."""
    spec = METRICS[metric]
    return {"higher": "↑", "lower": "↓", "target": f"→{spec.target or 0:g}"}[spec.direction]


def most_decimals(metric: str) -> int:
    return DECIMALS.get(metric, 3)


def method_title(name: str, settings: Method) -> str:
    """The paper's name; an entry that is a variant of a method adds its own."""
    title = IMPLEMENTATIONS[settings.implementation].title
    if title.split()[0].islower():  # a word, not a name such as cGAN
        title = title[0].upper() + title[1:]
    return title if name == settings.implementation else f"{title} ({name})"


def reference_title(name: str) -> str:
    return REFERENCES.get(name) or name.rpartition(":")[2].replace("_", " ").capitalize()


def family(network: str) -> str:
    """``efficientnet-lite1`` → ``efficientnet``, ``vgg16`` → ``vgg``: networks of one family see alike."""
    found = re.match(r"[a-z]+", network)
    return found.group() if found else network


def plural(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def listing(names: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""
