"""The ``cgm`` command: ``doctor`` looks at the machine, ``experiment`` chooses what to run, ``add`` and ``remove`` enter a dataset
of one's own and take it out, ``new-method`` and ``check-method`` help with a method of one's own, ``check`` validates the experiment,
``weights`` downloads the published networks that it needs, ``translate`` uses what was trained, ``conditions`` gives a model from elsewhere
what to translate; ``claims`` says what becomes of the claims; ``follow`` keeps MLflow in line with the files; ``verify``, ``compare`` and
``cite`` are for reports."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from cgm.core import own
from cgm.core.console import any_encoding
from cgm.core.errors import UserError, refusal
from cgm.core.registry import places
from cgm.data.sources import SOURCES
from cgm.experiment.params import Params
from cgm.experiment.reading import load_params
from cgm.networks.fixed import FIXED, weights
from cgm.networks.fixed.lpips import TRUNKS
from pipeline import (
    cite_command,
    claims_command,
    compare_command,
    follow_command,
    params_text,
    score_command,
    stage_table,
    translate_command,
    verify_command,
)
from pipeline.closed_pipe import ends_quietly

PARAMS = Path("params.yaml")
EXPERIMENTS = Path("experiments")
VERSIONS = ("torch", "torchvision", "numpy", "snakemake", "dvc", "mlflow")
DISK_GIB = 5
"""Free space below which the default experiment may not fit: environment, results and DVC's copy of them."""


@ends_quietly()
def main(argv: Sequence[str] | None = None) -> None:
    """Exit code 0; 1 where ``check-method`` finds a fault, ``verify`` a difference or ``compare`` a mean that moved; or 2 after one line on
    standard error."""
    any_encoding()
    parser = argparse.ArgumentParser(prog="cgm", description="Which loss should train an image-to-image model?")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="is everything here that a run needs?")
    experiment = commands.add_parser("experiment", help="make experiments/NAME.yaml the experiment (params.yaml)")
    experiment.add_argument("name", metavar="NAME")
    profile = commands.add_parser("profile", help="what experiment was called")
    profile.add_argument("name", metavar="NAME", nargs="?", default="NAME")
    for chosen in (experiment, profile):
        chosen.add_argument("--force", action="store_true", help="overwrite a params.yaml that was edited")
    commands.add_parser("check", help="validate params.yaml and list its runs")
    entry = commands.add_parser("add", help="look at pictures of your own and enter them into params.yaml as a dataset")
    entry.add_argument("name", metavar="NAME")
    entry.add_argument("paths", metavar="PATH", nargs="+", help="a folder, a table of pairs, or two folders: conditions and targets")
    how = entry.add_mutually_exclusive_group()
    how.add_argument(
        "--paired",
        action="store_const",
        const=True,
        dest="paired",
        help="A and B belong together by their names (default: where names and shapes agree)",
    )
    how.add_argument(
        "--unpaired", action="store_const", const=False, dest="paired", help="two domains without pairs (default: where they don't)"
    )
    entry.add_argument("--size", metavar="PX", help="prepared size: a side, or HEIGHTxWIDTH (default: 64)")
    entry.add_argument("--kimg", type=float, help="budget a method, thousands of images (default: 8)")
    entry.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="further settings of the entry, for example condition=grey or direction=BtoA",
    )
    taken = commands.add_parser("remove", help="take a dataset out of params.yaml")
    taken.add_argument("name", metavar="NAME")
    fetch = commands.add_parser("weights", help="download and verify published weights; without NAME: where they lie")
    fetch.add_argument("names", metavar="NAME", nargs="*")
    conditions = commands.add_parser("conditions", help="a dataset's test conditions as pictures, for a model from elsewhere")
    conditions.add_argument("dataset", metavar="DATASET")
    conditions.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="the folder for them; there must be none")
    started = commands.add_parser("new-method", help="a file to start a method of your own from: my_methods/NAME.py")
    started.add_argument("name", metavar="NAME")
    started.add_argument("--add", action="store_true", help="also enter it into params.yaml, among the methods for pairs")
    checked = commands.add_parser("check-method", help="does a method do what every method must?")
    checked.add_argument("place", metavar="METHOD", help="my_losses/focal.py:FocalFrequency, package.module:Class, or one of ours")
    checked.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="settings of its entry")
    translate_command.add_parser(commands)
    for command in (score_command, claims_command, verify_command, compare_command, cite_command, follow_command):
        command.add_parser(commands)
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "doctor":
            doctor()
        elif arguments.command == "experiment":
            choose_experiment(arguments.name, force=arguments.force)
        elif arguments.command == "profile":
            raise UserError(f"`cgm profile` is `cgm experiment` now, since profiles/ is Snakemake's; run `cgm experiment {arguments.name}`")
        elif arguments.command == "add":
            from pipeline import add

            add.add(
                PARAMS,
                arguments.name,
                arguments.paths,
                paired=arguments.paired,
                more=_values(arguments.set),
                size=_size(arguments.size),
                kimg=arguments.kimg,
            )
        elif arguments.command == "remove":
            from pipeline import add

            add.take_out(PARAMS, arguments.name)
        elif arguments.command == "weights":
            fetch_weights(arguments.names)
        elif arguments.command == "conditions":
            from pipeline import conditions as test_conditions

            test_conditions.write(load_params(PARAMS), arguments.dataset, arguments.output)
        elif arguments.command == "translate":
            with own.errors_told():
                translate_command.main(arguments)
        elif arguments.command == "score":
            score_command.main(arguments)
        elif arguments.command == "verify":
            verify_command.main(arguments)
        elif arguments.command == "compare":
            compare_command.main(arguments)
        elif arguments.command == "cite":
            cite_command.main(arguments)
        elif arguments.command == "follow":
            follow_command.main(arguments)
        elif arguments.command == "claims":
            claims_command.main(arguments, PARAMS)
        elif arguments.command == "new-method":
            from pipeline import own_method

            own_method.new(PARAMS, arguments.name, add=arguments.add)
        elif arguments.command == "check-method":
            from pipeline import own_method

            if not own_method.check(arguments.place, _values(arguments.set)):
                sys.exit(1)
        else:
            check()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if (line := refusal(error)) is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; what is written is whole, and the same command goes on", file=sys.stderr)
        sys.exit(130)


def choose_experiment(name: str, *, force: bool = False) -> None:
    """Copy ``experiments/<name>.yaml`` to ``params.yaml``; an edited ``params.yaml`` is overwritten only with ``force``."""
    known = {path.stem: path.read_bytes() for path in sorted(EXPERIMENTS.glob("*.yaml"))}
    if not known:
        raise UserError(f"{EXPERIMENTS}/: no experiments found; run the command in the project's folder")
    if name not in known:
        raise UserError(f"{EXPERIMENTS / name}.yaml: not found; expected one of {', '.join(known)}")
    if PARAMS.exists() and PARAMS.read_bytes() not in known.values() and not force:
        raise UserError(f"{PARAMS}: was edited and equals none of {EXPERIMENTS}/; keep a copy of it and repeat with --force")
    params_text.rewrite(PARAMS, known[name].decode())
    print(f"{PARAMS}: now experiment {name}; `make all` runs what that changes")


def _values(assignments: Sequence[str]) -> dict[str, Any]:
    """``key=value``, the value as YAML reads it."""
    found: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key:
            raise UserError(f"--set {assignment}: expected KEY=VALUE")
        try:
            new = YAML(typ="safe").load(value)
        except (YAMLError, ValueError):
            raise UserError(f"--set {assignment}: the value is not valid YAML") from None
        if found.setdefault(key, new) != new:
            raise UserError(f"--set {assignment}: --set {key} stands there twice, with {found[key]!r} too; leave one of them out")
    return found


def _size(text: str | None) -> int | list[int] | None:
    """``64`` or ``64x96``, height and width, as the setting has it."""
    if text is None:
        return None
    sides = re.split("[x×]", text)
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):
        raise UserError(f"--size {text}: expected pixels a side, such as 64, or HEIGHTxWIDTH, such as 64x96")
    return int(text) if len(sides) == 1 else [int(side) for side in sides]


def check() -> None:
    """Print the runs of ``params.yaml``; raises :class:`UserError` where it, ``dvc.yaml`` or a dataset's source cannot be used."""
    from pipeline import agreement

    table = stage_table.load_table()
    for settings in table.params.all_datasets.values():
        SOURCES[settings.source].check(settings, Path())
    runs = list(table.params.runs())
    agreement.check_elsewhere(table, made_too=True)
    for run in runs:
        print(run)
    print(f"{PARAMS}: experiment {table.params.experiment}, {len(runs)} runs in {len(table.stages)} stages")


def fetch_weights(names: Sequence[str]) -> None:
    """Make sure that the weights ``names`` are here, and print path and SHA-256; without names, say of all whether they are.

    Raises :class:`UserError` on an unknown name, or where a file can't be had or isn't the published one.
    """
    if PARAMS.exists() and (folder := load_params(PARAMS).weights) is not None:
        weights.use_folder(folder)
    for name in names:
        weights.entry(name)  # an unknown one stops before the first download
    for name in names:
        path, digest = weights.fetch(name)
        print(f"{name}: {path} sha256 {digest}")
    if not names:
        for name in weights.published():
            entry, package = weights.entry(name), weights.packaged(FIXED[name])
            print(f"{name:<15} {_state(name)[0]:<9} {package or weights.locate(name)}\n{'':<25} {entry.source}: {entry.url}")


def _state(name: str) -> tuple[str, str]:
    """``verified``, ``missing`` or ``wrong``, and a sentence."""
    try:
        found = weights.verified(name)
    except UserError as error:
        return "wrong", str(error)
    if found is None:
        return "missing", f"not here; it is downloaded at first use, or now by `cgm weights {name}`"
    return "verified", f"sha256 {found[1][:12]}… verified"


def needed_weights(params: Params, *, evaluation: bool = True) -> list[str]:
    """The networks that an experiment asks for and whose weights are published files; without ``evaluation`` those of its trainings."""
    methods = (*params.methods.values(), *params.unpaired.methods.values())
    asked = places(params.training, *methods, *((params.evaluation,) if evaluation else ()))
    trunks = {TRUNKS[each.name] for each in params.evaluation.lpips} if evaluation else set()
    return [name for name in weights.published() if FIXED.place(name) in asked or name in trunks]


def doctor() -> None:
    """Print what a run needs and whether it is here; raises :class:`UserError` if something is missing."""
    missing = []
    print(f"python      {platform.python_version()} ({sys.executable})")
    for name in VERSIONS:
        try:
            print(f"{name:<11} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            print(f"{name:<11} missing")
            missing.append(name)
    if shutil.which("git") is None:
        missing.append("git")
    print(f"cores       {stage_table.cores()} physical that this process may use")
    print(f"disk        {_free_gib():.1f} GiB free here")
    if "torch" not in missing:
        missing += _doctor_torch()
    if _free_gib() < DISK_GIB:
        missing.append(f"disk space ({DISK_GIB} GiB)")
    if PARAMS.exists():
        params = load_params(PARAMS)
        slots = max(1, stage_table.cores() // params.compute.threads)
        print(f"experiment  {params.experiment}, {sum(1 for _ in params.runs())} runs, {slots} at once on the CPU")
        if params.weights is not None:
            weights.use_folder(params.weights)
        for name in needed_weights(params):
            state, sentence = _state(name)
            print(f"weights     {name}: {sentence}")
            if state == "wrong":
                missing.append(f"weights of {name}")
    if missing:
        raise UserError(f"missing: {', '.join(missing)}; run `make setup`, or see README.md for what a machine needs")


def _doctor_torch() -> list[str]:
    """Print the device, and whether the weights that the experiment needs or that come as Python packages are whole. Returns what is
    missing."""
    import torch

    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU only"
    print(f"device      {device}")
    missing = []
    for record in FIXED.values():
        if record.package:
            try:
                found = weights.verified(record.name)
            except UserError as error:
                print(f"weights     {record.name}: {error}")
                missing.append(f"weights of {record.name}")
                continue
            if found:
                print(f"weights     {record.name}: sha256 {found[1][:12]}… verified")
            elif record.published is None:
                print(f"weights     {record.name}: the Python package {record.package.package} is not installed")
                missing.append(f"weights of {record.name}")
    return missing


def _free_gib() -> float:
    return shutil.disk_usage(Path()).free / 2**30


if __name__ == "__main__":
    main()
