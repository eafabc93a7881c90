"""The ``cgm`` command: ``doctor`` looks at the machine, ``profile`` chooses an experiment, ``check`` reads it, ``weights`` downloads what
it looks through."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from cgm import weights
from cgm.config import Params
from cgm.errors import UserError
from cgm.files import write_text
from cgm.params import load_params
from pipeline import stages

PARAMS = Path("params.yaml")
PROFILES = Path("profiles")
VERSIONS = ("torch", "torchvision", "numpy", "snakemake", "dvc", "mlflow")
DISK_GIB = 5
"""Free space below which the default profile may not fit: environment, results and DVC's copy of them."""


def main(argv: Sequence[str] | None = None) -> None:
    """Exit code 0, or 2 after one line on standard error."""
    parser = argparse.ArgumentParser(prog="cgm", description="Which loss should train an image-to-image model?")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="is everything here that a run needs?")
    profile = commands.add_parser("profile", help="make profiles/NAME.yaml the experiment (params.yaml)")
    profile.add_argument("name", metavar="NAME")
    profile.add_argument("--force", action="store_true", help="overwrite a params.yaml that was edited")
    commands.add_parser("check", help="validate params.yaml and list its runs")
    fetch = commands.add_parser("weights", help="download and verify published weights; without NAME: where they lie")
    fetch.add_argument("names", metavar="NAME", nargs="*")
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "doctor":
            doctor()
        elif arguments.command == "profile":
            choose_profile(arguments.name, force=arguments.force)
        elif arguments.command == "weights":
            fetch_weights(arguments.names)
        else:
            check()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def choose_profile(name: str, *, force: bool = False) -> None:
    """Copy ``profiles/<name>.yaml`` to ``params.yaml``; an edited ``params.yaml`` is overwritten only with ``force``."""
    profiles = {path.stem: path.read_bytes() for path in sorted(PROFILES.glob("*.yaml"))}
    if not profiles:
        raise UserError(f"{PROFILES}/: no profiles found; run the command in the project's folder")
    if name not in profiles:
        raise UserError(f"{PROFILES / name}.yaml: not found; expected one of {', '.join(profiles)}")
    if PARAMS.exists() and PARAMS.read_bytes() not in profiles.values() and not force:
        raise UserError(f"{PARAMS}: was edited and equals no profile; keep a copy of it and repeat with --force")
    write_text(PARAMS, profiles[name].decode())
    print(f"{PARAMS}: now profile {name}; `make all` runs what that changes")


def check() -> None:
    """Print the runs of ``params.yaml``; raises :class:`UserError` where it or ``dvc.yaml`` cannot be used."""
    table = stages.load_table()
    runs = list(table.params.runs())
    for run in runs:
        print(run)
    print(f"{PARAMS}: profile {table.params.profile}, {len(runs)} runs in {len(table.stages)} stages")


def fetch_weights(names: Sequence[str]) -> None:
    """Make sure that the weights ``names`` are here, and print path and SHA-256; without names, say of all whether they are.

    Raises :class:`UserError` on an unknown name, or where a file can't be had or isn't the published one.
    """
    if PARAMS.exists() and (folder := load_params(PARAMS).weights) is not None:
        weights.use_folder(folder)
    if unknown := [name for name in names if name not in weights.PUBLISHED]:
        raise UserError(f"weights {unknown[0]!r}: unknown; expected one of {', '.join(weights.PUBLISHED)}")
    for name in names:
        path, digest = weights.fetch(name)
        print(f"{name}: {path} sha256 {digest}")
    if not names:
        for name, published in weights.PUBLISHED.items():
            print(f"{name:<15} {_state(name)[0]:<9} {weights.locate(name)}\n{'':<25} {published.source}: {published.url}")


def _state(name: str) -> tuple[str, str]:
    """``verified``, ``missing`` or ``wrong``, and a sentence."""
    try:
        found = weights.verified(name)
    except UserError as error:
        return "wrong", str(error)
    if found is None:
        return "missing", f"not here; it is downloaded at first use, or now by `cgm weights {name}`"
    return "verified", f"sha256 {found[1][:12]}… verified"


def needed_weights(params: Params) -> list[str]:
    """The published weights that an experiment asks for by name."""
    groups = (params.methods, params.unpaired.methods)
    asked = {getattr(method, "loss_network", "") for methods in groups for method in methods.values()}
    asked |= {params.evaluation.judge, params.evaluation.lpips, params.training.judge}
    return [name for name in weights.PUBLISHED if name in asked]


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
    for program in ("git",):
        if shutil.which(program) is None:
            missing.append(program)
    print(f"cores       {stages.cores()} physical that this process may use")
    print(f"disk        {_free_gib():.1f} GiB free here")
    if "torch" not in missing:
        missing += _doctor_torch()
    if _free_gib() < DISK_GIB:
        missing.append(f"disk space ({DISK_GIB} GiB)")
    if PARAMS.exists():
        params = load_params(PARAMS)
        slots = max(1, stages.cores() // params.compute.threads)
        print(f"experiment  profile {params.profile}, {sum(1 for _ in params.runs())} runs, {slots} at once on the CPU")
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
    """The device, and the fixed networks' weights by their hashes."""
    import torch

    from cgm.networks.fixed import PACKAGED, load_fixed

    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU only"
    print(f"device      {device}")
    missing = []
    for name in PACKAGED:
        try:
            print(f"weights     {name}: sha256 {load_fixed(name, torch.device('cpu')).sha256[:12]}… verified")
        except UserError as error:
            print(f"weights     {name}: {error}")
            missing.append(f"weights of {name}")
    return missing


def _free_gib() -> float:
    return shutil.disk_usage(Path()).free / 2**30


if __name__ == "__main__":
    main()
