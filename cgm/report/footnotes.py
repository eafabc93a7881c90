"""What stands behind the numbers, in sentences: counts, judges, devices, seeds, and whatever is less than the papers had."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from cgm.methods import METHODS
from cgm.methods.method import TrainedSettings
from cgm.networks.fixed import FIXED
from cgm.networks.fixed.lpips import TRUNKS
from cgm.report import labels
from cgm.report.departures import shared_sentence
from cgm.report.results import BROKEN, STATUSES, DatasetResult, Results, RunResult

IN_NAME_ONLY = 0.01
"""Of the distance between different pictures: a sampler whose samples of one condition differ by less is one in name only."""


def distinct(records: list[dict[str, Any]], key: str) -> list[str]:
    return sorted({str(record[key]) for record in records if record.get(key) is not None})


def run_counts(runs: list[RunResult]) -> dict[str, int]:
    return {status: sum(run.status == status for run in runs) for status in STATUSES}


def runs_sentence(runs: list[RunResult]) -> str:
    """``35 of 36 runs ok, 1 diverged``."""
    counts = run_counts(runs)
    rest = [f"{counts[status]} {status}" for status in BROKEN if counts[status]]
    return ", ".join([f"{counts['ok']} of {labels.plural(len(runs), 'run')} ok", *rest])


def compute_sentence(dataset: DatasetResult, experiment: str) -> str:
    """Experiment, budget, size and device."""
    return f"{'; '.join([f'Experiment “{experiment}”', *compute_parts(dataset)])}."


def compute_parts(dataset: DatasetResult) -> list[str]:
    """Budget and size; device, precision and threads as the runs recorded them."""
    settings = dataset.settings
    parts = [f"{budget_text(dataset)} at {labels.pixels(settings.image_size)}"]
    records = dataset.records
    if records:
        parts += [" and ".join(found) for key in ("device", "precision") if (found := distinct(records, key))]
        if threads := distinct(records, "threads"):
            parts.append(f"{' and '.join(threads)} {'thread' if threads == ['1'] else 'threads'} a run")
    return parts


def budget_text(dataset: DatasetResult) -> str:
    """``8 kimg a method``, and which methods have a budget of their own."""
    own: dict[float, list[str]] = {}
    for name, method in dataset.methods.items():
        if isinstance(method, TrainedSettings) and method.kimg not in (None, dataset.settings.kimg):
            own.setdefault(float(method.kimg or 0), []).append(labels.method_title(name, method))
    others = "; ".join(f"{kimg:g} for {labels.listing(names)}" for kimg, names in own.items())
    return f"{dataset.settings.kimg:g} kimg a method" + (f" ({others})" if others else "")


def judge_sentence(dataset: DatasetResult) -> str:
    if not dataset.judge:
        return "No reference for this dataset yet: floor and baselines are missing."
    parts = []
    for judge in dataset.judges:
        name, digest = judge["name"], judge["sha256"]
        part = f"{name}, weights sha256 {digest[:12]}" if digest else f"{name}, not to be had"
        parts.append(part if name == labels.INCEPTION else f"{part} (not Inception-2015, hence KD and FD and not KID and FID)")
    if len(parts) == 1:
        return f"Judge {parts[0]}."
    return f"Judges: {'; '.join(parts)}. The first leads: competence and the answer are told by it."


def evaluated_on(dataset: DatasetResult) -> list[str]:
    """Where networks looked: the last digits are that device's."""
    runs = sorted({str(run.scores["device"]) for run in dataset.all_runs if run.ok})
    if not runs:
        return []
    if dataset.reference_device in ("", *runs) and len(runs) == 1:
        return [f"Judges and LPIPS looked on {_looked_on(runs)}."]
    return [
        f"Judges and LPIPS looked at outputs on {_looked_on(runs)}, at reals, floors and baselines on "
        f"{_looked_on([dataset.reference_device])}: their last digits differ by device."
    ]


def _looked_on(devices: Sequence[str]) -> str:
    return labels.listing(["the CPU" if device == "cpu" else device for device in devices])


def counts_sentence(dataset: DatasetResult, metrics: tuple[str, ...]) -> str:
    """Numbers of real and generated images, metrics with the same numbers together."""
    groups: dict[tuple[tuple[int, int], ...], list[str]] = {}
    for metric in metrics:
        if found := dataset.counts(metric):
            groups.setdefault(tuple(found), []).append(labels.metric_title(metric, dataset.judge_of(metric)))
    parts = []
    for sizes, titles in groups.items():
        numbers = " or ".join(f"{real} / {fake}" for real, fake in sizes)
        parts.append(f"{numbers} ({', '.join(titles)})")
    return f"N real / generated: {'; '.join(parts)}." if parts else ""


def made_elsewhere(dataset: DatasetResult) -> list[str]:
    """A sentence for each method whose pictures were made elsewhere: from where, and whether one set stands for all seeds."""
    sentences = []
    for method, runs in dataset.runs.items():
        if found := [run.outputs_made_elsewhere for run in runs if run.outputs_made_elsewhere]:
            title = labels.method_title(method, dataset.methods[method])
            folders = labels.listing(list(dict.fromkeys(each["folder"] for each in found)))
            sentence = f"{title}: the pictures in {folders}, not trained here; their data and budget are not the table's."
            if len({each["sha256"] for each in found}) < len(found):
                sentence += " One set of pictures that stands for several seeds counts once."
            sentences.append(sentence)
    return sentences


def unknown_of_elsewhere(dataset: DatasetResult, what: str) -> list[str]:
    """That nothing is known of ``what`` where pictures were made elsewhere; no sentence where none were."""
    methods = [method for method, runs in dataset.runs.items() if any(run.outputs_made_elsewhere for run in runs)]
    return [f"Empty for {labels.titles(dataset.methods, methods)}: made elsewhere, and nobody here knows {what}."] if methods else []


def absences(dataset: DatasetResult, metrics: tuple[str, ...]) -> list[str]:
    """Why values don't exist, from the runs' own notes; the same reason for the same metrics is said once."""
    reasons: dict[str, dict[str, set[str]]] = {}
    for run in dataset.all_runs:
        if run.ok:
            for metric, note in run.scores["notes"].items():
                if metric in metrics:
                    reasons.setdefault(note, {}).setdefault(metric, set()).add(run.run.method)
    made = {run.run.method for run in dataset.all_runs if run.ok}
    sentences = []
    for note, found in sorted(reasons.items()):
        titles = [labels.metric_title(metric, dataset.judge_of(metric)) for metric in metrics if metric in found]
        methods = set().union(*found.values())
        who = "" if methods == made else f" for {labels.titles(dataset.methods, [m for m in dataset.methods if m in methods])}"
        sentences.append(f"No {labels.listing(titles)}{who}: {note}.")
    return sentences


def broken_runs(dataset: DatasetResult) -> list[str]:
    """One sentence for each method and status with runs that have no values: which seeds, and why (of a diverged one, at which step)."""
    sentences = []
    for method, runs in dataset.runs.items():
        title = labels.method_title(method, dataset.methods[method])
        for status in BROKEN:
            by_reason: dict[str, list[str]] = {}
            for run in runs:
                if run.status == status:
                    by_reason.setdefault(run.reason, []).append(str(run.seed))
            if by_reason:
                count = sum(map(len, by_reason.values()))
                seeds = "; ".join(labels.listing(seeds) + (f" ({reason})" if reason else "") for reason, seeds in by_reason.items())
                sentences.append(f"{title}: {labels.plural(count, 'seed')} {status}, {seeds}; left out of the means.")
    return sentences


def mixed_machines(dataset: DatasetResult) -> list[str]:
    """A sentence each where the runs of a dataset were not all made with one precision, on one device, with one torch: it can make up what
    a table seems to show."""
    sentences = []
    kinds = {"precision": "with different precisions", "device": "on different devices", "torch": "with different versions of torch"}
    for key, what in kinds.items():
        found: dict[str, list[str]] = {}
        for method, runs in dataset.runs.items():
            for value in distinct([run.record | run.record.get("versions", {}) for run in runs], key):
                found.setdefault(value, []).append(labels.method_title(method, dataset.methods[method]))
        if len(found) > 1:
            parts = "; ".join(f"{value}: {labels.listing(titles)}" for value, titles in sorted(found.items()))
            sentences.append(f"Runs were made {what} ({parts}): what differs between these is not the loss alone.")
    return sentences


def degradations(results: Results, dataset: DatasetResult) -> list[str]:
    """Everything that makes these numbers less than a full experiment's."""
    sentences = []
    if results.params.experiment == "smoke":
        sentences.append(f"{labels.SMOKE}.")
    if any(device.startswith("CPU") for device in distinct(dataset.records, "device")):
        sentences.append(f"Trained on a CPU with a reduced budget: {budget_text(dataset)}.")
    if dataset.settings.fit == "pad":
        sentences.append("Pictures of another shape were padded (fit: pad): bars are right by construction, and flatter every metric.")
    sentences += mixed_machines(dataset)
    if changed := shared_sentence(dataset):
        sentences.append(f"Shared settings that differ from the papers', whose own stand in brackets: {changed}.")
    if len(results.params.seeds) == 1:
        sentences.append("One seed: what another training would give is not known.")
    mixed = [method for method, runs in dataset.runs.items() if len(distinct([run.record for run in runs], "code_sha256")) > 1]
    if mixed:
        titles = labels.titles(dataset.methods, mixed)
        sentences.append(f"Seeds of one method were trained by different versions of its code: {titles}.")
    if len(found := distinct(dataset.records, "data_sha256")) > 1:
        sentences.append(f"Runs were made by {len(found)} versions of the data: {', '.join(digest[:12] for digest in found)}.")
    if dataset.prepared is not None and (stale := set(distinct(dataset.records, "data_sha256")) - {dataset.prepared.data_sha256}):
        sentences.append(
            f"Some runs were trained on other data ({', '.join(sorted(digest[:12] for digest in stale))}) than what is prepared now."
        )
    return sentences


def retrieval_chance(dataset: DatasetResult) -> str:
    sizes = [fake for _, fake in dataset.counts("retrieval")]
    return f"Chance level of retrieval@1: 1/{sizes[0]} = {1 / sizes[0]:.4f}." if sizes else ""


def of_judges_family(dataset: DatasetResult, method: str) -> bool:
    """Whether a method was trained through a network of the leading judge's family, or of LPIPS's."""
    own = {network["name"] for run in dataset.runs[method] for network in run.record.get("loss_network") or ()}
    judges = {dataset.judge["name"]} if dataset.judge else set()
    judges |= {trunk for each in dataset.measures.values() for trunk in TRUNKS.values() if each.through.endswith(f"-{trunk}")}
    return bool({_family(name) for name in own} & {_family(name) for name in judges})


def _family(network: str) -> str:
    return FIXED[network].family if network in FIXED else network


def stochastic_in_name(dataset: DatasetResult) -> list[str]:
    """A sentence for each conditional sampler whose samples of one condition hardly differ, beside how much different pictures do.

    The latter is the perceptual distance between an output and another picture's target, which follows from its distance to its own
    (``pd``) and ``pairgain`` = 1 − own ÷ other.
    """
    title = labels.metric_title("pd", dataset.judge_of("pd"))
    sentences = []
    for method in dataset.methods:
        values = {name: list(dataset.by_seed(method, name).values()) for name in ("intra_diversity", "pd", "pairgain")}
        if not all(values.values()) or not METHODS[dataset.methods[method].implementation].conditional:
            continue
        among, own, gain = (fmean(found) for found in values.values())
        if gain < 1 and among < IN_NAME_ONLY * (other := own / (1 - gain)):
            sentences.append(
                f"{labels.method_title(method, dataset.methods[method])} is stochastic in name: samples of one condition differ by "
                f"{among:.2g}, different pictures by {other:.2g} ({title}, mean)."
            )
    return sentences
