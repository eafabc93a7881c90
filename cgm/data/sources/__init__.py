"""Where images come from: one file each."""

from cgm.core.registry import Registry
from cgm.data.sources.source import Source

SOURCES: Registry[Source] = Registry(
    "source",
    {
        "openmoji": "cgm.data.sources.openmoji:OPENMOJI",
        "fluent": "cgm.data.sources.fluent:FLUENT",
        "fluent-unpaired": "cgm.data.sources.fluent:FLUENT_UNPAIRED",
        "photos": "cgm.data.sources.photos:PHOTOS",
        "folder": "cgm.data.sources.folder:FOLDER",
    },
)
