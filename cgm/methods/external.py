"""Pictures that another model made, from anywhere in the world, for the test conditions: they get rows in the same tables.

``{implementation: external, outputs: FOLDER}``. A picture is named like its test condition (its id, with any image suffix) and has exactly
the dataset's size. They lie in ``FOLDER/<dataset>``, where there is a folder of that name, else in ``FOLDER``; there, in a folder a seed
(``0/``, ``1/``, …), or all in one place, as one set that stands for every seed. Beside them, ``val/`` may hold pictures for the first
validation conditions, by which competence is judged.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cgm.core.contents import digest
from cgm.core.errors import UserError
from cgm.core.lazy import np
from cgm.core.registry import About
from cgm.data.layouts import entries, pictures_below
from cgm.data.listing import VALIDATED
from cgm.methods.method import Elsewhere, MethodSettings, Outputs

if TYPE_CHECKING:
    from cgm.data.prepared import Prepared
    from cgm.data.sources.source import Dataset

VAL = "val"
NAMED = 3
"""So many pictures an error names; it counts the rest."""


class External(Elsewhere):
    """ŷ is read from a file."""

    about = About(
        title="made elsewhere",
        citation="Pictures of a model outside of this benchmark",
        differences=("Nothing is known here of how they were made: data, budget and network may differ from those of the other rows.",),
    )

    class Settings(MethodSettings):
        outputs: str
        """The folder with the pictures."""

    needs_pairs = False
    cost = 0.0

    @classmethod
    def identity(cls, settings: Any, dataset: str, root: Path) -> dict[str, Any]:
        folder = _of_dataset(root / settings.outputs, dataset)
        return {"pictures": digest(folder, pictures_below(folder), root) if folder.is_dir() else None}

    @classmethod
    def check(cls, settings: Any, dataset: str, data: Dataset, seeds: Sequence[int], prepared: Prepared | None, root: Path) -> None:
        for folder in dict.fromkeys(_of_seed(root / settings.outputs, dataset, seed, seeds) for seed in seeds):
            for given in _given(folder, prepared):
                for _ in _loaded(folder, given, (*data.height_width, data.channels)):
                    pass

    @classmethod
    def outputs(cls, settings: Any, prepared: Prepared, seed: int, seeds: Sequence[int]) -> Outputs:
        folder, shape = (
            _of_seed(Path(settings.outputs), str(prepared.card["dataset"]), seed, seeds),
            (*prepared.height_width, prepared.channels),
        )
        test, val = _given(folder, prepared)
        none = np.empty((0, *shape), np.uint8)
        pictures = [np.stack([*_loaded(folder, given, shape)]) if given else none for given in (test, val)]
        return Outputs(str(folder), digest(folder, [*test, *val], Path()), *pictures)


def _of_dataset(folder: Path, dataset: str) -> Path:
    return folder / dataset if (folder / dataset).is_dir() else folder


def _of_seed(outputs: Path, dataset: str, seed: int, seeds: Sequence[int]) -> Path:
    """Where the pictures of a seed lie."""
    folder = _of_dataset(outputs, dataset)
    if not folder.is_dir():
        raise UserError(f"{outputs}: not found; expected a folder with a picture for each test condition of {dataset}, named like it")
    folders = {path.name for path in folder.iterdir() if path.is_dir()}
    if not any(str(each) in folders for each in seeds):
        return folder
    if lacking := [str(each) for each in seeds if str(each) not in folders]:
        raise UserError(
            f"{folder}: found folders for some seeds and none for {', '.join(lacking)}; expected one for each of `seeds` in params.yaml "
            "(or all pictures in one place, as one set that stands for every seed)"
        )
    if others := [path.name for path in entries(folder) if not (path.is_dir() and path.name.isdecimal())]:
        raise UserError(f"{folder}: found {_some(others)} beside a folder a seed; move what belongs to a seed into its folder")
    return folder / str(seed)


def _pictures(folder: Path) -> dict[str, Path]:
    """By id: the name below ``folder``, without the suffix. Those in ``val/`` belong to other conditions, and a folder that isn't there has
    none."""
    found: dict[str, Path] = {}
    for path in pictures_below(folder) if folder.is_dir() else ():
        if path.is_relative_to(folder / VAL):
            continue
        name = unicodedata.normalize("NFC", path.relative_to(folder).with_suffix("").as_posix())
        if name in found:
            raise UserError(f"{path}: the same name as {found[name].name} but for the suffix; remove one of them")
        found[name] = path
    return found


def _given(folder: Path, prepared: Prepared | None) -> tuple[list[Path], list[Path]]:
    """The pictures for the test conditions, in their order, and those for the first validation conditions, or none; the names are right.

    While the dataset isn't ``prepared``, which names are right can't be told: all pictures.
    """
    test, val = _pictures(folder), _pictures(folder / VAL)
    if prepared is None:
        return list(test.values()), list(val.values())
    dataset = prepared.card["dataset"]
    ids, val_ids = prepared.ids("test", "A"), prepared.ids("val", "A")
    first = val_ids[:VALIDATED] if val else []
    _compare(folder, test, ids, ids, f"test condition of {dataset}")
    _compare(folder / VAL, val, first, val_ids, f"validation condition of {dataset}")
    return [test[name] for name in ids], [val[name] for name in first]


def _compare(folder: Path, found: Mapping[str, Path], expected: Sequence[str], known: Sequence[str], what: str) -> None:
    """Raise :class:`UserError` where a picture is missing, or belongs to nothing."""
    if missing := [name for name in expected if name not in found]:
        raise UserError(
            f"{folder}: {len(missing)} of {len(expected)} pictures are missing: {_some(missing)}; expected one a {what}, named like it"
        )
    if extra := sorted(found.keys() - set(known)):
        names = [found[name].relative_to(folder).as_posix() for name in extra]
        raise UserError(f"{folder}: found {_some(names)}, named like no {what}; move away what is none of the outputs")


def _loaded(folder: Path, pictures: Iterable[Path], shape: tuple[int, int, int]) -> Iterator[np.ndarray]:
    """Each picture, uint8 of ``shape``, H×W×C. Raises :class:`UserError` at the end, where some can't be read or have another size."""
    from cgm.data.raster import Reading, read_picture  # here: it imports Pillow, and params.yaml is read without it

    unreadable: list[str] = []
    odd: list[str] = []
    for path in pictures:
        name = path.relative_to(folder).as_posix()
        try:
            picture = read_picture(path, Reading(channels=shape[2]))
        except UserError as error:
            unreadable.append(str(error))
            continue
        height, width = picture.shape[:2]
        if (height, width) != shape[:2]:
            odd.append(f"{name} ({width}×{height})")
        yield picture
    if unreadable:
        others = f"; {len(unreadable) - 1} more can't be read either" if len(unreadable) > 1 else ""
        raise UserError(f"{unreadable[0]}{others}")
    if odd:
        raise UserError(
            f"{folder}: found {_some(odd)}, expected {shape[1]}×{shape[0]} px as the dataset has; make them at that size: resizing them "
            "here would change what is measured"
        )


def _some(names: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    rest = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {rest} more" if rest > 0 else "")
