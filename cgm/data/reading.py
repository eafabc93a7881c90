"""How the files of a dataset's settings become pixels."""

from __future__ import annotations

from cgm.data.raster import Reading
from cgm.data.sources.files import FileSettings
from cgm.data.sources.source import Dataset


def reading_of(settings: Dataset, side: str) -> Reading:
    """How the values of one side's files become colours."""
    if not isinstance(settings, FileSettings):
        return Reading(channels=settings.channels)
    ground = bytes.fromhex(settings.ground[1:])
    return Reading(
        channels=settings.channels,
        ground=(ground[0], ground[1], ground[2]),
        value_range=settings.range_of(side),
        labels=settings.labels,
    )
