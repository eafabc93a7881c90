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
        "manifold": "cgm.data.sources.manifold:MANIFOLD",
        "folder": "cgm.data.sources.folder:FOLDER",
        "url": "cgm.data.sources.url:URL",
        "facades": "cgm.data.sources.canonical:FACADES",
        "maps": "cgm.data.sources.canonical:MAPS",
        "edges2shoes": "cgm.data.sources.canonical:EDGES2SHOES",
        "edges2handbags": "cgm.data.sources.canonical:EDGES2HANDBAGS",
        "night2day": "cgm.data.sources.canonical:NIGHT2DAY",
        "cityscapes": "cgm.data.sources.canonical:CITYSCAPES",
        "horse2zebra": "cgm.data.sources.canonical:HORSE2ZEBRA",
        "apple2orange": "cgm.data.sources.canonical:APPLE2ORANGE",
        "summer2winter": "cgm.data.sources.canonical:SUMMER2WINTER",
        "monet2photo": "cgm.data.sources.canonical:MONET2PHOTO",
        "cezanne2photo": "cgm.data.sources.canonical:CEZANNE2PHOTO",
        "ukiyoe2photo": "cgm.data.sources.canonical:UKIYOE2PHOTO",
        "vangogh2photo": "cgm.data.sources.canonical:VANGOGH2PHOTO",
        "facades-unpaired": "cgm.data.sources.canonical:FACADES_UNPAIRED",
        "maps-unpaired": "cgm.data.sources.canonical:MAPS_UNPAIRED",
        "iphone2dslr": "cgm.data.sources.canonical:IPHONE2DSLR",
    },
)
