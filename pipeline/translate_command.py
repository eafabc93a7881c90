"""``cgm translate RUN IN… -o OUT``: pictures of the user's through a trained generator.

Imports the heavy parts when it runs: ``cgm`` shall start quickly.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cgm.core.errors import UserError
from cgm.core.words import plural

if TYPE_CHECKING:
    import numpy as np
    import torch

    from cgm.methods.inference import Given, Trained

BEST = "best:"
MARK = "cgm"
"""The text in an output's PNG that says what it was made of and how."""
NAMED = 3
"""So many files a message names; it counts the rest."""
EPILOG = """\
RUN is dataset/method/seed, a run's folder, or best:METRIC: of the methods that were trained to competence the one with the best mean over
seeds, and of it the best seed. Where several datasets have results, best:METRIC@DATASET says which. Outputs are PNG files of the inputs'
sizes.
"""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser("translate", help="pictures of yours through a trained generator", epilog=EPILOG)
    parser.add_argument("run", metavar="RUN", help="dataset/method/seed, a run's folder, best:METRIC or best:METRIC@DATASET")
    parser.add_argument("inputs", metavar="IN", nargs="+", type=Path, help="pictures, or folders: all pictures in them and below")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="the folder for what comes out")
    parser.add_argument("--overwrite", action="store_true", help="make files anew that are there already, whatever they are")
    parser.add_argument("--samples", metavar="K", type=int, default=1, help="outputs a picture, NAME-1.png, …; of a stochastic generator")
    parser.add_argument("--fit", action="store_true", help="crop and resize to the trained size; else each keeps its own size")
    parser.add_argument("--tile", metavar="PX", type=int, help="side of the tiles of large pictures; 0: no tiles (default: by memory)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), help="default: as the run was translated, else a GPU if there is one")
    parser.add_argument("--threads", metavar="N", type=int, help="CPU threads; default: the run's own, with which it repeats to the byte")


@dataclass(frozen=True)
class Job:
    """One input and where its outputs go, one a sample."""

    source: Path
    targets: tuple[Path, ...]


def main(arguments: argparse.Namespace) -> None:
    """Raises :class:`UserError`: before anything is written where the call can't be right, at the end where inputs could not be read."""
    for option, least in (("samples", 1), ("tile", 0), ("threads", 1)):
        value = getattr(arguments, option)
        if value is not None and value < least:
            raise UserError(f"--{option}: found {value}, expected {least} or more")
    folder = run_folder(arguments.run)
    jobs, passed_over = plan(arguments.inputs, arguments.output, arguments.samples)
    if passed_over:
        print(f"{plural(passed_over, 'file')} passed over: no pictures by their names")
    from cgm.methods import left_weights

    trained = _load(folder, arguments)
    if arguments.samples > 1 and not trained.network.stochastic:
        raise UserError(f"--samples: found {arguments.samples}, but {trained.name} is deterministic: one output a picture; leave it out")
    from pipeline.memory import shortage_told

    with shortage_told("translate", {"run": trained.name}, "set --tile to a smaller number"):
        translate(trained, left_weights.digest(folder / "model.safetensors"), jobs, arguments)


def translate(trained: Trained, weights: str, jobs: Sequence[Job], arguments: argparse.Namespace) -> None:
    """Write what is not there yet. The files come out the same whichever are there already.

    ``weights``: SHA-256 of the file. Raises :class:`UserError`, before anything is written, where something else stands in an output's
    place.
    """
    from cgm.core.progress import counted
    from cgm.methods.inference import Translator

    translator = Translator(trained, arguments.tile)
    made_by = {"run": trained.name, "weights": weights, "fit": arguments.fit, "tile": translator.tile}
    wanted = _wanted(jobs, made_by, overwrite=arguments.overwrite)
    kept = sum(len(job.targets) for job in jobs) - len(wanted)
    unreadable: dict[Path, str] = {}
    noise = trained.noise()
    written = 0
    device = "CPU" if trained.device.type == "cpu" else "GPU"
    size = "×".join(map(str, trained.image_size))
    print(f"{trained.name}, trained at {size} px, on the {device}: {plural(len(jobs), 'picture')} → {arguments.output}")
    if wanted:
        total = len(jobs) * arguments.samples
        pictures = (
            given
            for sample in range(arguments.samples)
            for given in translator(_pictures(jobs, sample, trained, arguments.fit, unreadable), noise)
        )
        for given in counted(pictures, total, f"translate {trained.name}", "picture"):
            if given.key in wanted:
                _write(given.key, given.picture, {**made_by, "input": wanted[given.key]})
                written += 1
    stay = f", {kept} kept as they were (--overwrite makes them anew)" if kept else ""
    print(f"{plural(written, 'file')} written{stay}")
    if unreadable:
        for reason in unreadable.values():
            print(f"left out {reason}", file=sys.stderr)
        rest = "all others are translated" if len(unreadable) < len(jobs) else "there were no others"
        raise UserError(f"{len(unreadable)} of {plural(len(jobs), 'picture')} can't be read and {rest}; each is named above")


def _pictures(jobs: Sequence[Job], sample: int, trained: Trained, fit: bool, unreadable: dict[Path, str]) -> Iterator[Given[Path]]:
    """The inputs in their order, for one sample; those that can't be read go to ``unreadable`` with the reason."""
    from cgm.data.raster import read_picture, shaped
    from cgm.methods.inference import Given

    for job in jobs:
        try:
            picture = read_picture(job.source, trained.reading)
        except UserError as error:
            unreadable[job.source] = str(error)
        else:
            yield Given(job.targets[sample], shaped(picture, *trained.image_size, "crop") if fit else picture)


def _write(path: Path, picture: np.ndarray, mark: Mapping[str, Any]) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    from cgm.core.files import replacing

    info = PngInfo()
    info.add_text(MARK, json.dumps(mark, sort_keys=True))
    with replacing(path) as temporary:
        Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).save(temporary, format="PNG", pnginfo=info)


def _wanted(jobs: Sequence[Job], made_by: Mapping[str, Any], *, overwrite: bool) -> dict[Path, str]:
    """The outputs to make, each with the SHA-256 of its input (empty where that can't be read); the others are there, made just so.

    Raises :class:`UserError` where something else is there and may not be overwritten.
    """
    from cgm.core.files import sha256

    wanted: dict[Path, str] = {}
    strange: list[tuple[Path, str]] = []
    for job in jobs:
        try:
            digest = sha256(job.source)
        except OSError:
            digest = ""  # told when it is read
        for target in job.targets:
            if target.is_dir():
                raise UserError(f"{target}: found a folder, expected a place for a picture; choose another folder for the outputs")
            if overwrite or not target.exists():
                wanted[target] = digest
            elif difference := _difference(_mark(target), {**made_by, "input": digest}):
                strange.append((target, difference))
    if strange:
        names = ", ".join(str(target) for target, _ in strange[:NAMED])
        more = f" and {len(strange) - NAMED} more" if len(strange) > NAMED else ""
        raise UserError(
            f"{names}{more}: found {strange[0][1]}, expected what this call makes, or nothing; choose another folder, or --overwrite"
        )
    return wanted


def _mark(path: Path) -> dict[str, Any]:
    """What an output says of itself; empty where it isn't one."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            found = json.loads(image.info[MARK])
    except (OSError, SyntaxError, ValueError, TypeError, KeyError):
        return {}
    return found if isinstance(found, dict) else {}


def _difference(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """In words; empty where there is none."""
    if not found:
        return "a file that no call of cgm translate made"
    if found.get("run") != expected["run"]:
        return f"an output of {found.get('run')}"
    words = {"weights": "an output of other weights", "input": "an output of another picture"}
    return next((words.get(key, f"an output of another --{key}") for key in expected if found.get(key) != expected[key]), "")


# Which pictures, and where to


def plan(inputs: Sequence[Path], output: Path, samples: int) -> tuple[list[Job], int]:
    """A job for each picture, in the order of ``inputs``, and how many files in folders are no pictures by their names.

    The pictures of a folder are sorted by their names without the suffix, as datasets are. Raises :class:`UserError` where an input isn't
    there, a folder has no pictures, or two outputs or an input and an output would be one file.
    """
    if output.exists() and not output.is_dir():
        raise UserError(f"{output}: found a file, expected a folder for the outputs, there or not; name another")
    jobs: list[Job] = []
    passed_over = 0
    for given in inputs:
        if given.is_dir():
            found, others = _pictures_in(given, output)
            passed_over += others
            if not found:
                raise UserError(f"{given}: found no pictures in it and below; name a folder with pictures, or a file")
            jobs += [_job(path, path.relative_to(given), output, samples) for path in found]
        elif given.is_file():
            jobs.append(_job(given, Path(given.name), output, samples))
        else:
            raise UserError(f"{given}: not found; expected a picture or a folder with pictures")
    _check_targets(jobs)
    return jobs, passed_over


def _pictures_in(folder: Path, output: Path) -> tuple[list[Path], int]:
    """Sorted by name without the suffix, and how many other files there are; earlier outputs, in a folder of their own, are neither."""
    from cgm.data.layouts import LEFT_BEHIND, may_be_picture

    inside = output.resolve() if output.resolve() != folder.resolve() else None

    def refuse(error: OSError) -> None:
        raise error

    files = []
    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".") and Path(place, name).resolve() != inside]
        files += [Path(place, name) for name in names if Path(place, name).is_file()]
    hidden = {path for path in files if path.name.startswith(".") or path.name.lower() in LEFT_BEHIND}
    found = [path for path in files if path not in hidden and may_be_picture(path)]
    found.sort(key=lambda path: (path.relative_to(folder).with_suffix("").as_posix(), path.suffix))
    return found, len(files) - len(hidden) - len(found)


def _job(source: Path, relative: Path, output: Path, samples: int) -> Job:
    names = [relative.stem] if samples == 1 else [f"{relative.stem}-{sample}" for sample in range(1, samples + 1)]
    return Job(source, tuple(output / relative.parent / f"{name}.png" for name in names))


def _check_targets(jobs: Sequence[Job]) -> None:
    sources = {job.source.resolve(): job.source for job in jobs}
    made_of: dict[Path, Path] = {}
    for job in jobs:
        for target in job.targets:
            if target.resolve() in sources:
                raise UserError(f"{target}: is an input, and would be the output of {job.source}; choose another folder for the outputs")
            if target in made_of:
                raise UserError(f"{target}: would come of {made_of[target]} and of {job.source}; rename one, or translate them apart")
            made_of[target] = job.source


# Which run


def run_folder(run: str) -> Path:
    """The folder of RUN; what ``best:`` chose is printed."""
    from cgm.experiment import paths

    if run.startswith(BEST):
        metric, _, dataset = run.removeprefix(BEST).partition("@")
        return best(metric, dataset)
    if (folder := paths.RESULTS / run).joinpath("run.json").is_file():
        return folder
    if (folder := Path(run)).joinpath("run.json").is_file():
        return folder
    runs = sorted(path.parent.relative_to(paths.RESULTS).as_posix() for path in paths.RESULTS.glob("*/*/*/run.json"))
    close = difflib.get_close_matches(run, runs, n=1) or [name for name in runs if name.startswith(f"{run}/")][:1]
    known = f"; did you mean {close[0]!r}?" if close else f"; {paths.RESULTS}/ has {plural(len(runs), 'run')}"
    raise UserError(f"RUN {run!r}: not a trained run{known}; expected dataset/method/seed, a run's folder, or {BEST}METRIC")


def best(metric: str, dataset: str) -> Path:
    """The folder of the best run by ``metric``: the method with the best mean over its seeds, and of it the best seed.

    Of the methods that were trained to competence and that can translate pictures. Raises :class:`UserError` where there is none, where
    several datasets have some, where nobody tested for competence, or where two are equally good.
    """
    from statistics import fmean

    from cgm.evaluation.metrics import METRICS
    from cgm.experiment import paths
    from cgm.experiment.params import Run
    from cgm.experiment.reading import load_params
    from cgm.methods import METHODS
    from cgm.methods.method import Method
    from cgm.report import labels
    from cgm.report.competence import competence
    from cgm.report.ranking import losses_of, rank
    from cgm.report.results import collect
    from cgm.report.summary import beside

    if not METRICS[metric].ranked:
        raise UserError(f"{BEST}{metric}: methods can't be ranked by {metric}; choose another metric")
    results = collect(load_params())
    names = [each.name for each in results.datasets]
    if dataset and dataset not in names:
        raise UserError(f"{BEST}{metric}@{dataset}: no such dataset in params.yaml; expected one of {', '.join(names)}")
    looked_at = [each for each in results.datasets if dataset in ("", each.name)]
    losses = {
        each.name: {
            method: found
            for method, found in losses_of(each, metric).items()
            if issubclass(kind := METHODS[each.methods[method].implementation], Method) and kind.conditional
        }
        for each in looked_at
    }
    tested = {
        each.name: {method: found for method, found in losses[each.name].items() if competence(each, method).tested} for each in looked_at
    }
    having = [each for each in looked_at if tested[each.name]]
    if not having:
        if untested := [name for name in losses if losses[name]]:
            raise UserError(
                f"{BEST}{metric}: whether a method was trained to competence was not tested on {' and '.join(untested)}, for which val "
                "must hold 2 conditions or more; look at the pictures, and name a run: dataset/method/seed"
            )
        notes = sorted({note for each in looked_at for run in each.all_runs if run.values and (note := run.scores["notes"].get(metric))})
        if notes and not any(metric in run.values for each in looked_at for run in each.all_runs):
            raise UserError(f"{BEST}{metric}: {metric} was not measured ({'; '.join(notes)}); choose another metric, or name a run")
        where = f" on {dataset}" if dataset else ""
        raise UserError(
            f"{BEST}{metric}: no result{where} of a method that was trained to competence and translates pictures; run `make all` first, "
            "or name a run"
        )
    if len(having) > 1:
        known = " or ".join(f"{BEST}{metric}@{each.name}" for each in having)
        raise UserError(f"{BEST}{metric}: found results on {len(having)} datasets, whose values can't be compared; say {known}")
    (each,) = having
    means = {method: fmean(found.values()) for method, found in tested[each.name].items()}
    chosen = min(means, key=lambda method: means[method])
    seed = min(tested[each.name][chosen], key=lambda seed: tested[each.name][chosen][seed])
    run = Run(dataset=each.name, method=chosen, seed=seed)
    if alike := [method for method in means if means[method] == means[chosen] and method != chosen]:
        equal = ", ".join(f"{each.name}/{method}" for method in (chosen, *alike))
        raise UserError(f"{BEST}{metric}: a tie: {equal} have the same mean; name one of them, with a seed")
    values = each.by_seed(chosen, metric)
    title = labels.metric_title(metric, each.judge_of(metric))
    ranking = rank(each, metric)
    clauses = beside(each, ranking) if ranking is not None and ranking.best == chosen else []
    others = "".join(f"; {clause}" for clause in clauses)
    print(
        f"{BEST}{metric}: {run}, {title} {labels.arrow(metric)} {values[seed]:.4g} (mean of {plural(len(values), 'seed')} "
        f"{fmean(values.values()):.4g}{others})"
    )
    return paths.run_folder(run)


def _load(folder: Path, arguments: argparse.Namespace) -> Trained:
    """With the device and the threads of the run's own settings, unless told otherwise."""
    from cgm.methods.inference import load, read_record

    return load(folder, _device(read_record(folder)["config"]["compute"], arguments))


def _device(compute: dict[str, Any], arguments: argparse.Namespace) -> torch.device:
    import torch

    from cgm.experiment.settings import Compute
    from cgm.training.device import pick_device

    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device: found 'cuda', but torch sees no CUDA device; leave it out, or choose 'cpu'")
    device = arguments.device or ("cpu" if compute.get("device") == "cpu" else "auto")
    threads = arguments.threads or compute.get("threads", 1)
    settings = {"device": device, "threads": threads, "deterministic": compute.get("deterministic", True)}
    return pick_device(Compute.model_validate(settings))
