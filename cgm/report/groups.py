"""The parts of a dataset's section, in the order of the page."""

from __future__ import annotations

from typing import Literal, get_args

Group = Literal["results", "plane", "pictures", "training", "ablations", "diagnostics"]
GROUPS: tuple[Group, ...] = get_args(Group)
HEADINGS: dict[Group, str] = {
    "results": "Main results",
    "plane": "Perception against distortion",
    "pictures": "Pictures",
    "training": "Training",
    "ablations": "Ablations",
    "diagnostics": "Diagnostics",
}
