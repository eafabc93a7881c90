"""``cgm conditions DATASET -o OUT``: what a model from elsewhere is to translate, as pictures named as ``external`` expects its outputs."""

from __future__ import annotations

from pathlib import Path

from cgm.core.errors import UserError
from cgm.core.files import replacing
from cgm.core.words import plural
from cgm.data.listing import VALIDATED
from cgm.data.prepared import open_prepared
from cgm.experiment import paths
from cgm.experiment.params import Params

VAL = "val"
"""Where the validation conditions lie, beside those of the test."""


def write(params: Params, dataset: str, out: Path) -> None:
    """The test conditions as PNG into ``out``, by their ids, and the first validation conditions into ``out/val``: all of them, or nothing.

    Raises :class:`UserError` where the dataset isn't in ``params`` or not prepared, or where something lies in ``out``.
    """
    from PIL import Image

    if dataset not in params.all_datasets:
        raise UserError(f"DATASET {dataset!r}: not in params.yaml; expected one of {', '.join(params.all_datasets)}")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{out}: is there already; expected an empty folder, or nothing; name another")
    prepared = open_prepared(paths.prepared(dataset))
    parts = [("", prepared.ids("test", "A"), prepared.images("test", "A"))]
    parts.append((VAL, prepared.ids("val", "A")[:VALIDATED], prepared.images("val", "A")))
    with replacing(out) as temporary:
        for place, ids, images in parts:
            for identity, image in zip(ids, images, strict=False):
                path = temporary / place / f"{identity}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(path)
    count = [len(ids) for _, ids, _ in parts]
    height, width = prepared.height_width
    print(
        f"{out}: {plural(count[0], 'test condition')}, and below {VAL}/ {plural(count[1], 'validation condition')}, {width}×{height} px; a"
        " model's outputs of the same names are what `implementation: external` takes"
    )
