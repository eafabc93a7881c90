"""The sets that papers report: pix2pix's (Isola et al. 2017) and CycleGAN's (Zhu et al. 2017), from their authors' server.

Sizes in bytes and SHA-256 of CycleGAN's archives are those that TensorFlow Datasets recorded; nobody publishes hashes of pix2pix's, so
they are pinned at their first download. No archive is redistributed here: the terms are their publishers'.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from cgm.core.errors import UserError
from cgm.core.registry import About
from cgm.data import layouts
from cgm.data.layouts import Found
from cgm.data.sources.files import FileSettings
from cgm.data.sources.url import Archive, cache

HOST = "https://efrosgans.eecs.berkeley.edu"
PIX2PIX = "Isola et al., CVPR 2017"
CYCLEGAN = "Zhu et al., ICCV 2017"
Counts = Mapping[str, tuple[int, int]]
"""Pictures of A and B a split, as published."""


class Backwards(FileSettings):
    """Of sets whose files hold the paper's target on the left."""

    direction: Literal["AtoB", "BtoA"] = "BtoA"


class Canonical(Archive):
    """One published set."""

    def __init__(
        self,
        archive: str,
        counts: Counts,
        *,
        title: str,
        paper: str,
        terms: str,
        layout: str,
        direction: Literal["AtoB", "BtoA"] = "AtoB",
        size: int | None = None,
        sha256: str | None = None,
        pixels: int = 256,
        by_hand: bool = False,
    ) -> None:
        """``archive``: below :data:`HOST`. ``direction``: as in the paper. ``pixels``: the native height. ``by_hand``: its publisher has
        withdrawn it from the server, so that it must be placed by hand."""
        self.archive, self.counts, self.terms, self.layout = archive, counts, terms, layout
        self.size, self.sha256, self.by_hand = size, sha256, by_hand
        self.about = About(title=title, citation=paper, protocol=f"{pixels} px")
        self.pairing = "paired" if layout == "side-by-side" else "unpaired"
        self.Settings = FileSettings if direction == "AtoB" else Backwards

    def addresses(self, settings: Any) -> list[str]:
        return [f"{HOST}/{self.archive}"]

    def place(self, settings: Any) -> Path:
        # Both papers have a facades and a maps.
        return Path(self.archive.replace("/datasets/", "-").replace("/", "-"))

    def published(self, settings: Any) -> tuple[str | None, int | None]:
        return self.sha256, self.size

    def credits(self, settings: Any) -> dict[str, str]:
        return {"licence": self.terms, "attribution": self.about.citation}

    def check(self, settings: Any, root: Path) -> None:
        path = cache() / self.place(settings)
        if self.by_hand and not path.is_file():
            raise UserError(
                f"{path}: not found, and its publisher no longer offers it ({self.terms}); place your own copy of the archive there"
            )

    def bring(self, settings: Any, out: Path, paired: bool, root: Path, name: str) -> dict[str, Any]:
        self.check(settings, root)
        print(f"{name}: {self.about.title}: {self.terms}; cite {self.about.citation}", file=sys.stderr, flush=True)
        return super().bring(settings, out, paired, root, name)

    def read(self, settings: Any, folder: Path) -> tuple[str, Found]:
        """As it is published. A set without a test split is tested on its ``val``, as its paper does; another val is carved from train.

        Raises :class:`UserError` where it holds another number of pictures than it should.
        """
        layout, found = layouts.read(
            folder, self.layout if settings.layout == "auto" else settings.layout, singles=settings.condition is not None
        )
        for split, expected in self.counts.items():
            sides = found.get(split, {})
            numbers = tuple(len(sides.get(side, [])) for side in "AB")
            if layout != "single" and numbers != expected:
                raise UserError(
                    f"{self.archive}: found {numbers} pictures of A and B in {split}, expected {expected}; the "
                    "archive isn't the published one"
                )
        if "test" not in found:
            found["test"] = found.pop("val")
        return layout, found


def _pairs(**counts: int) -> Counts:
    return {split: (count, count) for split, count in counts.items()}


def _domains(train_a: int, train_b: int, test_a: int, test_b: int) -> Counts:
    return {"train": (train_a, train_b), "test": (test_a, test_b)}


def _pix2pix(
    name: str, counts: Counts, title: str, terms: str, direction: Literal["AtoB", "BtoA"], pixels: int = 256, **more: Any
) -> Canonical:
    return Canonical(
        f"pix2pix/datasets/{name}.tar.gz", counts, title=title, paper=PIX2PIX, terms=terms, layout="side-by-side", direction=direction,
        pixels=pixels, **more,
    )  # fmt: skip


def _cyclegan(name: str, counts: Counts, size: int, sha256: str, title: str, terms: str) -> Canonical:
    return Canonical(
        f"cyclegan/datasets/{name}.zip", counts, title=title, paper=CYCLEGAN, terms=terms, layout="joined-folders", size=size, sha256=sha256
    )


CMP = "CMP Facade Database, CC BY-SA 4.0"
GOOGLE = "Google Maps' terms; for research"
FLICKR = "pictures of Flickr's users; for research"
IMAGENET = "ImageNet's terms; for research"
PAINTINGS = "WikiArt and Flickr; for research"

FACADES = _pix2pix("facades", _pairs(train=400, val=100, test=106), "façades: labels → photograph", CMP, "BtoA")
MAPS = _pix2pix("maps", _pairs(train=1096, val=1098), "maps: map → aerial photograph", GOOGLE, "BtoA", 600)
EDGES2SHOES = _pix2pix("edges2shoes", _pairs(train=49825, val=200), "edges → shoes", "UT Zappos50K; for research", "AtoB")
EDGES2HANDBAGS = _pix2pix("edges2handbags", _pairs(train=138567, val=200), "edges → handbags", "pictures of Amazon; for research", "AtoB")
NIGHT2DAY = _pix2pix(
    "night2day", _pairs(train=17823, val=10, test=2287), "night → day", "Transient Attributes, Laffont et al. 2014", "AtoB"
)
CITYSCAPES = _pix2pix(
    "cityscapes",
    _pairs(train=2975, val=500),
    "Cityscapes: labels → photograph",
    "withdrawn for reasons of its licence",
    "BtoA",
    by_hand=True,
)

HORSE2ZEBRA = _cyclegan(
    "horse2zebra", _domains(1067, 1334, 120, 140), 116867962, "a74d9d392eecca9966b51287a76ca126af473d9de4f3e8fc0e9cda08fa1730a1",
    "horse → zebra", IMAGENET,
)  # fmt: skip
APPLE2ORANGE = _cyclegan(
    "apple2orange", _domains(995, 1019, 266, 248), 78456409, "845a191e9af8926408ea597001cd03a452e3300a1f44a79fe329b3d59f6e3eb8",
    "apple → orange", IMAGENET,
)  # fmt: skip
SUMMER2WINTER = _cyclegan(
    "summer2winter_yosemite", _domains(1231, 962, 309, 238), 132640856,
    "167fe1726807a9d22bd106b4a6c0bd7953b688af924ac1bf967439c4961e49f9", "summer → winter, Yosemite", FLICKR,
)  # fmt: skip
MONET2PHOTO = _cyclegan(
    "monet2photo", _domains(1072, 6287, 121, 751), 305231073, "88f91b00fc228f97c9411fbf1880ec1d119c98f1722e4cfcfaa2fb35fac05b04",
    "Monet → photograph", PAINTINGS,
)  # fmt: skip
CEZANNE2PHOTO = _cyclegan(
    "cezanne2photo", _domains(525, 6287, 58, 751), 279885071, "3a6c10ca21f9485862f1cbd707744b9dc258954a04631271d23a3605eeb63cff",
    "Cézanne → photograph", PAINTINGS,
)  # fmt: skip
UKIYOE2PHOTO = _cyclegan(
    "ukiyoe2photo", _domains(562, 6287, 263, 751), 292946532, "02a2a2fb5ecf425ca1bf86aca7304377da64a2a1d3b86df54eb65e4068bf3b08",
    "ukiyo-e → photograph", PAINTINGS,
)  # fmt: skip
VANGOGH2PHOTO = _cyclegan(
    "vangogh2photo", _domains(400, 6287, 400, 751), 306590349, "362c3473e70be0944bda08d49d660eafdc2854df55d697835b8186d1d79caaff",
    "Van Gogh → photograph", PAINTINGS,
)  # fmt: skip
FACADES_UNPAIRED = _cyclegan(
    "facades", _domains(400, 400, 106, 106), 35135868, "9a31ebf3a31b9b5cd195dd5bf62e9308e00cb94604d1019e3889ac84248695c0",
    "façades, as two domains", CMP,
)  # fmt: skip
MAPS_UNPAIRED = _cyclegan(
    "maps", _domains(1096, 1096, 1098, 1098), 1476754427, "639534f69dbf9f36bef8d6292a7698006361221f83f0285d7c9ca78afe6e8a9e",
    "maps, as two domains", GOOGLE,
)  # fmt: skip
IPHONE2DSLR = _cyclegan(
    "iphone2dslr_flower", _domains(1812, 3325, 569, 480), 339964458, "8fcb5e374d631b107e1d961b8c4cd0a186aa2a4ff3e279923f4c426128de7113",
    "iPhone → DSLR, flowers", FLICKR,
)  # fmt: skip
