"""Finished runs packed to be carried elsewhere: ``Archives(folder).add(run)`` where they were trained, ``python -m pipeline.adopt`` there.

An archive is a zip file. It holds what the stages ``train`` and ``translate`` of a run wrote, under the names that it has in the project,
each file compressed, and beside them ``origin.json``: everything that decides these stages, and the SHA-256 of each file. The weights lie
as they are, in archives of their own.

The machine of a training may have nothing but the packages under ``dependencies`` in pyproject.toml: no engine is needed here.
"""

from __future__ import annotations

import json
import lzma
import shutil
import struct
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from cgm.core.errors import UserError
from cgm.core.files import read_json, replacing, sha256
from cgm.data.prepared import open_prepared
from cgm.experiment import paths
from cgm.experiment.params import Run
from cgm.methods import left_weights
from pipeline import fingerprint
from pipeline.stage_table import Stage, Table, load_table

FILE_BYTES = (16 << 20) - (64 << 10)
"""Of one archive, at most: a little below what is commonly taken."""
FILES = 5
RESULTS, WEIGHTS = "results", "weights"
KINDS = ("train", "translate")
"""The stages whose outputs are packed."""
MODEL, ORIGIN, PACKED = "model.safetensors", "origin.json", ".xz"
DAMAGE = (zipfile.BadZipFile, lzma.LZMAError, struct.error, EOFError, OSError, RuntimeError, LookupError, TypeError, ValueError)
"""What reading a damaged archive may raise."""
EMPTY, HEADERS = 22, 30 + 46
"""Bytes of a zip file without members, and of what it writes about each beside its name (twice) and content."""
Kept = Literal["whole", "without weights", "left out"]
Members = list[tuple[str, bytes]]


class Archives:
    """``results-1.zip``, … and ``weights-1.zip``, … in ``folder``: together at most ``files`` files of at most ``file_bytes`` bytes.

    Results come first. Weights take the room that is left, and where results need it, the last file of weights goes. Each file is
    replaced as a whole: a process that is killed leaves whole archives. The same runs in the same order make the same bytes. One process at
    a time may write into a folder.
    """

    def __init__(self, folder: str | Path, file_bytes: int = FILE_BYTES, files: int = FILES) -> None:
        self.folder, self.file_bytes, self.files = Path(folder), file_bytes, files

    def add(self, run: Run, root: str | Path = ".") -> Kept:
        """Pack what ``run`` left in the project at ``root``; what doesn't fit is left out, first its weights, then all of it.

        A run that is there already stays. Raises :class:`UserError`, naming the file, where the run isn't finished, was not made with the
        parameters, code and data that are there now, or is there already with other results.
        """
        table = load_table(root)
        if not stages_of(table, run):
            raise UserError(f"{table.root / 'params.yaml'}: {run} is none of its runs")
        origin, folder = _origin(table, run), paths.run_folder(run)
        packed = {packing.origin.run: packing for path in self._archives(RESULTS) for packing in read(path)}
        if str(run) not in packed:
            content = {(folder / ORIGIN).as_posix(): json.dumps(asdict(origin), sort_keys=True).encode()}
            content |= {name: (table.root / name).read_bytes() for name in origin.files if Path(name).name != MODEL}
            if not self._place(RESULTS, [(f"{name}{PACKED}", lzma.compress(data)) for name, data in content.items()]):
                return "left out"
        elif packed[str(run)].origin != origin:
            raise UserError(f"{packed[str(run)].archive}: holds other results of {run}; pack these into another folder")
        name = (folder / MODEL).as_posix()
        if any(name in weights_in(path) for path in self._archives(WEIGHTS)):
            return "whole"
        model = table.root / name
        if left_weights.left(model) is None and self._place(WEIGHTS, [(name, model.read_bytes())]):
            return "whole"
        return "without weights"

    def _archives(self, kind: str) -> list[Path]:
        numbered = (self.folder / f"{kind}-{number}.zip" for number in range(1, self.files + 1))
        return [path for path in numbered if path.exists()]

    def _place(self, kind: str, members: Members) -> bool:
        """Write into the first archive with room for all ``members``, or into a new one; False where neither can be had."""
        needed = sum(HEADERS + 2 * len(name.encode()) + len(data) for name, data in members)
        if EMPTY + needed > self.file_bytes:
            return False
        mine, weights = self._archives(kind), self._archives(WEIGHTS)
        for path in mine:
            if path.stat().st_size + needed <= self.file_bytes:
                _append(path, members)
                return True
        if len(self._archives(RESULTS)) + len(weights) >= self.files:
            if kind == WEIGHTS or not weights:
                return False
            weights[-1].unlink()
        _append(self.folder / f"{kind}-{len(mine) + 1}.zip", members)
        return True


def _append(path: Path, members: Members) -> None:
    with replacing(path, durable=True) as temporary:
        if path.exists():
            shutil.copyfile(path, temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            for name, data in members:
                entry = zipfile.ZipInfo(name)  # of 1980: no time of its own
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, data)


@dataclass(frozen=True)
class Origin:
    """What ``origin.json`` says of a run."""

    run: str
    stages: dict[str, Any]
    """What decides ``train`` and ``translate``, see :func:`deciding`."""
    data_sha256: str
    """Of the prepared data."""
    files: dict[str, str]
    """SHA-256 of each output, of each file of those that are folders; of the weights also where they are not packed."""


@dataclass(frozen=True)
class Packing:
    """A run in an archive."""

    archive: Path
    origin: Origin

    def file(self, name: str) -> bytes:
        """A file as it lay where the run was made. Raises :class:`UserError` where the archive is damaged."""
        with _opened(self.archive) as archive:
            return lzma.decompress(archive.read(f"{name}{PACKED}"))


def read(path: Path) -> list[Packing]:
    """The runs in an archive of results. Raises :class:`UserError` where it is damaged."""
    with _opened(path) as archive:
        names = [name for name in archive.namelist() if Path(name).name == f"{ORIGIN}{PACKED}"]
        return [Packing(path, Origin(**json.loads(lzma.decompress(archive.read(name))))) for name in names]


def weights_in(path: Path) -> list[str]:
    """Names of the files in an archive of weights. Raises :class:`UserError` where it is damaged."""
    with _opened(path) as archive:
        return archive.namelist()


def weights(path: Path, name: str) -> bytes:
    """One of them. Raises :class:`UserError` where the archive is damaged."""
    with _opened(path) as archive:
        return archive.read(name)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except DAMAGE as error:
        raise UserError(f"{path}: damaged ({' '.join(str(error).split()) or type(error).__name__}); copy it again") from None


def stages_of(table: Table, run: Run) -> list[Stage]:
    """The stages of ``run`` whose outputs are packed, in their order."""
    item = {"dataset": run.dataset, "method": run.method, "seed": str(run.seed)}
    return [stage for stage in table.stages.values() if stage.kind in KINDS and stage.item == item]


def deciding(stages: Iterable[Stage], contents: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What decides the outputs of ``stages``, beside the data: their entries in dvc.yaml with parameters, and their fingerprints."""
    found = {
        stage.kind: {"content": stage.content, "inputs": {name: contents[name] for name in fingerprint.names(stage.deps)}}
        for stage in stages
    }
    return json.loads(json.dumps(found))  # as it comes out of an archive


def _origin(table: Table, run: Run) -> Origin:
    """``origin.json`` of a finished run. ``run.json`` has to say that it was made by what is here now; see :meth:`Archives.add`."""
    from pipeline.train import resolved  # here: it imports torch, which whoever only reads archives has no use for

    root, folder, stages = table.root, table.root / paths.run_folder(run), stages_of(table, run)
    outs = [out for stage in stages for out in stage.outs]
    if missing := [out for out in outs if not (root / out).exists()]:
        raise UserError(f"{root / missing[0]}: not found; run the stages 'train' and 'translate' of {run} first")
    data = open_prepared(root / paths.prepared(run.dataset)).data_sha256
    current = deciding(stages, fingerprint.contents(table.params, root))
    (training,) = current["train"]["inputs"].values()
    record = read_json(folder / "run.json")
    settings = json.loads(json.dumps(resolved(table.params, run)))  # as run.json has them: a tuple is a list there
    for key, now in (("config", settings), ("code_sha256", training["code"]), ("data_sha256", data)):
        if record[key] != now:
            raise UserError(f"{folder / 'run.json'}: {key}: was another when {run} was trained; train it again with what is here now")
    if min((root / out).stat().st_mtime_ns for out in stages[-1].outs) < (folder / MODEL).stat().st_mtime_ns:
        raise UserError(f"{root / stages[-1].outs[0]}: older than the weights; run the stage 'translate' of {run} again")
    return Origin(str(run), current, data, digests(root, outs))


def digests(root: Path, outs: Iterable[str]) -> dict[str, str]:
    """SHA-256 of the files behind outputs; of weights that were left elsewhere, theirs."""
    names = [name for out in outs for name in ([out] if Path(out).suffix else files_in(root, out))]
    return {name: left_weights.digest(root / name) if Path(name).name == MODEL else sha256(root / name) for name in names}


def files_in(root: Path, out: str) -> list[str]:
    """Of an output that is a folder. What an engine notes there in a hidden file is none of it."""
    return sorted(f"{out}/{path.name}" for path in (root / out).iterdir() if not path.name.startswith("."))
