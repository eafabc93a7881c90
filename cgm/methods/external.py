"""Pictures that another model made, from anywhere in the world, for the test conditions: they get rows in the same tables.

``{implementation: external, outputs: FOLDER}``. A picture is named like its test condition (its id, with any image suffix) and has exactly
the dataset's size. They lie in ``FOLDER/<dataset>``, where there is a folder of that name, else in ``FOLDER``; there, in a folder a seed
(``0/``, ``1/``, …), or all in one place, as one set that stands for every seed. Beside them, ``val/`` may hold pictures for the first
validation conditions, by which competence is judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cgm.core.contents import digest
from cgm.core.errors import UserError
from cgm.core.lazy import np
from cgm.core.registry import About
from cgm.data.layouts import entries, pictures_below
from cgm.data.listing import VALIDATED
from cgm.data.named import compare, loaded, named, some
from cgm.methods.method import Elsewhere, MethodSettings, Outputs

if TYPE_CHECKING:
    from cgm.data.prepared import Prepared
    from cgm.data.sources.source import Dataset

VAL = "val"


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
                for _ in loaded(folder, given, (*data.height_width, data.channels), "the dataset"):
                    pass

    @classmethod
    def outputs(cls, settings: Any, prepared: Prepared, seed: int, seeds: Sequence[int]) -> Outputs:
        folder, shape = (
            _of_seed(Path(settings.outputs), str(prepared.card["dataset"]), seed, seeds),
            (*prepared.height_width, prepared.channels),
        )
        test, val = _given(folder, prepared)
        none = np.empty((0, *shape), np.uint8)
        pictures = [np.stack([*loaded(folder, given, shape, "the dataset")]) if given else none for given in (test, val)]
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
        raise UserError(f"{folder}: found {some(others)} beside a folder a seed; move what belongs to a seed into its folder")
    return folder / str(seed)


def _given(folder: Path, prepared: Prepared | None) -> tuple[list[Path], list[Path]]:
    """The pictures for the test conditions, in their order, and those for the first validation conditions, or none; the names are right.

    While the dataset isn't ``prepared``, which names are right can't be told: all pictures.
    """
    test, val = named(folder, VAL), named(folder / VAL)
    if prepared is None:
        return list(test.values()), list(val.values())
    dataset = prepared.card["dataset"]
    ids, val_ids = prepared.ids("test", "A"), prepared.ids("val", "A")
    first = val_ids[:VALIDATED] if val else []
    compare(folder, test, ids, ids, f"test condition of {dataset}")
    compare(folder / VAL, val, first, val_ids, f"validation condition of {dataset}")
    return [test[name] for name in ids], [val[name] for name in first]
