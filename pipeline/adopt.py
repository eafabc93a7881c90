"""``python -m pipeline.adopt DIR``: takes runs that were trained elsewhere into the project in this folder.

``DIR`` holds archives that :mod:`pipeline.archives` wrote, itself or in folders up to two below. A run is taken where everything that
decides it is the same here: its entry in dvc.yaml with the parameters, the code that its stages reach, the data. Both engines then find
its stages ``train`` and ``translate`` done. What differs is named, and such a run is refused; the others are taken all the same.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgm.core.console import any_encoding
from cgm.core.errors import UserError
from cgm.core.files import read_json, replacing, sha256
from cgm.data.prepared import open_prepared
from cgm.experiment import paths
from cgm.experiment.params import Run
from cgm.methods import left_weights
from pipeline import agreement, fingerprint
from pipeline.archives import MODEL, RESULTS, WEIGHTS, Packing, deciding, digests, read, stages_of, weights, weights_in
from pipeline.stage_command import check
from pipeline.stage_table import Stage, Table, load_table

DEEP = ("", "*/", "*/*/")
"""Where archives are looked for below the folder."""
RUN = ("dataset", "method", "seed")
NOTHING = "nothing"
REMEDY = "bring params.yaml, code and data here to what those runs were made with, or train them here"
INTERRUPTED = "interrupted; what was taken is recorded, and the same command goes on"


def main(argv: Sequence[str] | None = None) -> None:
    """Exit code 0 where every run is here now, 2 where something was refused, 130 after Ctrl-C."""
    any_encoding()
    parser = argparse.ArgumentParser(prog="python -m pipeline.adopt", description="Take in runs that were trained elsewhere.")
    parser.add_argument("folder", metavar="DIR", type=Path, help="holds results-*.zip, itself or in folders up to two below")
    parser.add_argument("--replace", action="store_true", help="also runs that have other results here")
    arguments = parser.parse_args(argv)
    try:
        refused = adopt(load_table(), arguments.folder, replace=arguments.replace)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        sys.exit(130)
    if refused:
        sys.exit(2)


def adopt(table: Table, folder: Path, *, replace: bool = False) -> int:
    """Take what fits, a line for each run on standard output, for what is refused on standard error. Returns how much was refused.

    Raises :class:`UserError` where there are no archives, or an engine is at work here: nothing is taken then.
    """
    found = {kind: [path for below in DEEP for path in sorted(folder.glob(f"{below}{kind}-*.zip"))] for kind in (RESULTS, WEIGHTS)}
    if not found[RESULTS]:
        raise UserError(f"{folder}: no {RESULTS}-*.zip in it or in folders up to two below; name the folder with the archives")
    refusals: list[str] = []
    runs: list[Packing] = []
    carried: dict[str, list[Path]] = {}
    for path in found[RESULTS]:
        try:
            runs += read(path)
        except UserError as error:
            refusals.append(str(error))
    for path in found[WEIGHTS]:
        try:
            for name in weights_in(path):
                carried.setdefault(name, []).append(path)
        except UserError as error:
            refusals.append(str(error))
    for refusal in refusals:
        print(f"refused {refusal}", file=sys.stderr)

    taken, refused = 0, len(refusals)
    with agreement.adoption(table) as made:
        here = Here(table, fingerprint.contents(table.params, table.root), carried, replace)
        for packing in runs:
            name = packing.origin.run
            try:
                stages, said = here.take(packing)
            except UserError as error:
                print(f"refused {name}: {error}", file=sys.stderr)
                refused += 1
            else:
                made += stages
                taken += bool(stages)
                print(f"{'taken' if stages else 'left'} {name}: {said}")
    print(f"{taken} of {len(runs)} runs taken{f', {refused} refused; {REMEDY}' if refused else ''}")
    return refused


@dataclass(frozen=True)
class Here:
    """The project that runs are taken into."""

    table: Table
    contents: dict[str, dict[str, Any]]
    """The fingerprints, as they are now."""
    carried: dict[str, list[Path]]
    """By file with weights: the archives that hold one."""
    replace: bool

    def take(self, packing: Packing) -> tuple[list[Stage], str]:
        """Put the run's files in place. Returns the stages that this makes, none where the run is here already, and what to say of it.

        Raises :class:`UserError`, which says what differs, where the run is refused; all is verified before the first file is written.
        """
        root, origin = self.table.root, packing.origin
        run = Run(**check(self.table.params, dict(zip(RUN, origin.run.split("/"), strict=True))))
        stages = stages_of(self.table, run)
        if reasons := [*differences(origin.stages, deciding(stages, self.contents)), *self._data(run, origin.data_sha256)]:
            raise UserError("; ".join(reasons))
        outs = [out for stage in stages for out in stage.outs]
        (model,) = (out for out in outs if Path(out).name == MODEL)
        files = {
            name: verified(packing.file(name), digest, packing.archive, name) for name, digest in origin.files.items() if name != model
        }
        folders = {
            out: {Path(name).name: data for name, data in files.items() if lies_in(name, out)} for out in outs if not Path(out).suffix
        }
        content: dict[str, bytes | None] = {name: data for name, data in files.items() if not any(lies_in(name, out) for out in folders)}
        content[model] = self._weights(model, origin.files[model])
        if odd := sorted(set(content) ^ (set(outs) - set(folders))):
            raise UserError(f"{packing.archive}: not the files of {run}: {odd[0]} is too much or missing; pack the run again")
        if all(agreement.is_fresh(self.table, stage) for stage in stages):
            same = digests(root, outs) == origin.files
            if same and (content[model] is None or left_weights.left(root / model) is None):
                return [], "the same results are here already"
            if not (same or self.replace):
                raise UserError(
                    f"{paths.run_folder(run)}: other results of the same experiment are here; --replace puts these in their place"
                )
        for out in outs:  # in this order: outputs are not to be older than the weights
            if out in folders:
                write_folder(root / out, folders[out])
            elif (data := content[out]) is None:
                left_weights.write(root / out, origin.files[out])
            else:
                with replacing(root / out) as temporary:
                    temporary.write_bytes(data)
        record = read_json(root / paths.run_folder(run) / "run.json")
        weights = "" if content[model] is not None else "; its weights stayed there"
        if record["device"] is None:
            return stages, "pictures made elsewhere"
        return stages, f"trained on {record['device']} with torch {record['versions']['torch']}{weights}"

    def _data(self, run: Run, digest: str) -> Iterator[str]:
        """What is wrong with the prepared data for a run that was made with data of this SHA-256."""
        folder = paths.prepared(run.dataset)
        (prepare,) = (each for each in self.table.stages.values() if each.kind == "prepare" and each.item == {"dataset": run.dataset})
        if not agreement.is_fresh(self.table, prepare):
            yield f"{folder}: not there, or older than what it is made of; make it with `snakemake --cores 2 {folder}`"
        elif (found := open_prepared(self.table.root / folder).data_sha256) != digest:
            yield f"{folder}: data_sha256: found {digest[:12]}, expected {found[:12]}"

    def _weights(self, name: str, digest: str) -> bytes | None:
        """A run's weights out of the archives, or those that lie here already; None where there are none."""
        for archive in self.carried.get(name, []):
            data = weights(archive, name)
            if hashlib.sha256(data).hexdigest() == digest:  # else those of another training
                return data
        path = self.table.root / name
        return path.read_bytes() if path.exists() and sha256(path) == digest else None


def lies_in(name: str, out: str) -> bool:
    """Whether an archive's ``name`` is that of a file directly in the folder ``out``; no name leads out of it."""
    folder, _, file = name.rpartition("/")
    return folder == out and not file.startswith(".")


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """By name; whole or not at all."""
    with replacing(path) as temporary:
        temporary.mkdir()
        for name, data in files.items():
            (temporary / name).write_bytes(data)


def verified(data: bytes, digest: str, archive: Path, name: str) -> bytes:
    if (found := hashlib.sha256(data).hexdigest()) != digest:
        raise UserError(f"{archive}: {name}: damaged: found SHA-256 {found[:12]}, expected {digest[:12]}; copy the archive again")
    return data


def differences(theirs: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """In which of what decides the stages (:func:`pipeline.archives.deciding`) two checkouts differ, each by its name."""
    found, expected = dict(_named(theirs)), dict(_named(ours))
    names = dict.fromkeys([*expected, *found])
    return [
        f"{name}: found {found.get(name, NOTHING)}, expected {expected.get(name, NOTHING)}"
        for name in names
        if found.get(name, NOTHING) != expected.get(name, NOTHING)
    ]


def _named(stages: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for kind, decides in stages.items():
        content = decides["content"]
        yield from _flat(content["params"], "params.yaml: ")
        yield from ((f"dvc.yaml: {kind}: {key}", content[key]) for key in ("command", "deps", "outs"))
        for fingerprinted in decides["inputs"].values():
            yield f"code of stage {kind}", fingerprinted["code"][:12]
            yield from _flat(fingerprinted["settings"], "default of ")


def _flat(values: Mapping[str, Any], before: str) -> Iterator[tuple[str, Any]]:
    """``{"a": {"b": 1}}`` → ``a.b``, 1."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


if __name__ == "__main__":
    main()
