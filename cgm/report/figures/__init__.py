"""The report's figures and sheets of images: one file each, in the order of the page."""

from cgm.core.registry import Registry
from cgm.report.figures.figure import Figure

FIGURES: Registry[Figure] = Registry(
    "figure",
    {
        "plane": "cgm.report.figures.plane:PLANE",
        "grid": "cgm.report.figures.grid:GRID",
        "samples": "cgm.report.figures.samples:SAMPLES",
        "swap": "cgm.report.figures.swap:SWAP",
        "collapse": "cgm.report.figures.collapse:COLLAPSE",
        "round_trip": "cgm.report.figures.round_trip:ROUND_TRIP",
        "spectrum": "cgm.report.figures.spectrum:SPECTRUM",
        "budget": "cgm.report.figures.budget:BUDGET",
        "validation": "cgm.report.figures.validation:VALIDATION",
        "losses": "cgm.report.figures.losses:LOSSES",
        "variance": "cgm.report.figures.variance:VARIANCE",
        "filters": "cgm.report.figures.filters:FILTERS",
    },
)
