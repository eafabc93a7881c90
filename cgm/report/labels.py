"""Names that people read, from the records: of metrics, judges, methods, baselines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from cgm.core.registry import About
from cgm.evaluation.lpips import judge_name
from cgm.evaluation.measures import Measure, metric_of, network_of
from cgm.methods import METHODS
from cgm.methods.method import MethodSettings
from cgm.networks.fixed import FIXED
from cgm.networks.fixed.lpips import TRUNKS

SMOKE = "SMOKE EXPERIMENT: numbers mean nothing"
INCEPTION = "inception-2015"
GROUPS = {
    "paired": "Fidelity to the target",
    "distribution": "Realism",
    "diversity": "Diversity",
    "conditioning": "Conditioning",
    "sharpness": "Sharpness",
}
REFERENCES = {
    "real": "Real vs real (floor)",
    "copy_input": "Copy the input",
    "mean_image": "Mean image",
    "nearest_neighbour": "Nearest training neighbour",
    "target": "Test targets themselves",
}
"""Baselines and floors, by the names that :mod:`cgm.evaluation.baselines` gives them."""
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def main_measures(measures: Mapping[str, Measure]) -> tuple[str, ...]:
    """The keys of those that belong to the main table."""
    return tuple(key for key, each in measures.items() if each.metric.main and (each.leads or each.metric.main_through_all))


def short_judge(judge: str) -> str:
    for variant in TRUNKS:
        if judge == judge_name(variant):
            return variant
    return FIXED[judge].about.heading if judge in FIXED else judge


def metric_title(name: str, judge: str) -> str:
    """The heading of a measure. Only Inception-2015 makes an 'FID' or 'KID'; another judge names itself."""
    metric = metric_of(name)
    if metric.canonical and judge == INCEPTION:
        title = metric.canonical
    elif metric.judge == "lpips":
        title = f"{metric.about.heading} ({short_judge(judge) or '?'})"
    elif metric.judge == "judge" and network_of(name) and not metric.judge_in_heading:
        title = f"{metric.about.heading} ({short_judge(judge)})"
    else:
        title = f"{metric.about.heading}-{short_judge(judge) or '?'}" if metric.judge_in_heading else metric.about.heading
    return title + version(metric.about)


def version(about: About) -> str:
    """`` v2``; nothing for the first."""
    return f" v{about.version}" if about.version > 1 else ""


def factor(name: str) -> str:
    """By what a metric's shown numbers are multiplied: ``×10³``; empty for 1."""
    scale = metric_of(name).scale
    exponent = round(math.log10(scale))
    if scale == 1:
        return ""
    return f"×10{str(exponent).translate(RAISED)}" if math.isclose(scale, 10.0**exponent) else f"×{scale:g}"


def scaled_title(name: str, judge: str) -> str:
    """Heading with the factor by which the shown number is multiplied."""
    return f"{metric_title(name, judge)} {factor(name)}".rstrip()


def arrow(name: str) -> str:
    """Which way is better: ↑, ↓, or → and the target."""
    metric = metric_of(name)
    return {"higher": "↑", "lower": "↓", "target": f"→{metric.target or 0:g}"}[metric.direction]


def method_title(name: str, settings: MethodSettings) -> str:
    """The paper's name; an entry that is a variant of a method adds its own."""
    title = METHODS[settings.implementation].about.title
    if title.split()[0].islower():  # a word, not a name such as cGAN
        title = title[0].upper() + title[1:]
    title += version(METHODS[settings.implementation].about)
    return title if name == settings.implementation else f"{title} ({name})"


def setting_title(implementation: str, setting: str) -> str:
    """A weight's symbol in the method's equation, ``λ``; any other setting by its name: ``patchgan layers``."""
    symbols = {part.weight: part.symbol for part in METHODS[implementation].about.objective if part.weight}
    return symbols.get(setting) or setting.removeprefix("terms.").replace(".", " ").replace("_", " ")


def titles(methods: Mapping[str, MethodSettings], names: Iterable[str]) -> str:
    """``MAE regression, cGAN (no L1) and Pix2Pix``."""
    return listing([method_title(name, methods[name]) for name in names])


def reference_title(name: str) -> str:
    """Of a baseline or a floor."""
    return REFERENCES.get(name) or name.replace("_", " ").capitalize()


def plural(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def listing(names: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def pixels(image_size: int | Sequence[int]) -> str:
    """``64 px``, or ``64×128 px``: height and width."""
    return f"{image_size if isinstance(image_size, int) else '×'.join(map(str, image_size))} px"
