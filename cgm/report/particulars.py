"""What the page says in words: of the datasets, methods and metrics, where the numbers come from, and what they can't say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from cgm.data.layouts import TITLES as LAYOUT_TITLES
from cgm.data.listing import SPLITS
from cgm.data.sources import SOURCES
from cgm.evaluation.measures import planned
from cgm.experiment.params import Params
from cgm.methods import METHODS
from cgm.methods.method import Elsewhere, MethodSettings, TrainedSettings, TranslatorSettings
from cgm.networks.fixed import FIXED
from cgm.report import charts, footnotes, labels
from cgm.report.departures import method_sentence
from cgm.report.objective import objective
from cgm.report.results import DatasetResult, Results

NAMED = 5
"""So many of the pictures that were left out are named; the card in ``data/prepared`` names all."""
MLFLOW = "http://127.0.0.1:5000"
"""Where ``make ui`` serves a store of this machine."""
STEADYING = ("learning_rate", "batch_size", "networks", "ema_kimg", "r1", "diffaugment")
"""What an entry may train with that isn't its loss."""


def _tracked(params: Params, dataset: str, method: str) -> str:
    """Where MLflow shows the runs of a method: in a store of this machine's, whose first experiment is this one, a search for them; on a
    server, whose experiments have whatever numbers, the experiment by its name."""
    uri = params.tracking.uri
    if uri.startswith("http"):
        return f"{uri.rstrip('/')}/#/experiments?experimentSearchFilter={quote(params.tracking.experiment)}"
    search = f"tags.dataset = '{dataset}' and tags.method = '{method}'"
    return f"{MLFLOW}/#/experiments/1/runs?searchFilter={quote(search)}"


def limitations(results: Results) -> list[str]:
    """What the numbers can't say, from what they are made of."""
    params = results.params
    sizes = sorted({labels.pixels(each.image_size) for each in params.all_datasets.values()})
    seeds = len(params.seeds)
    sentences = [
        f"{labels.plural(seeds, 'training')} of each method: an interval over so few seeds is wide, and its Student-t factor assumes that "
        "they vary as a normal distribution does.",
        f"Pictures of {labels.listing(sizes)} and this experiment's budgets: nothing here says how methods rank at others.",
        "Hyper-parameters are one setting a method, not the best of a search; see Methods for where they differ from the papers'.",
        "Every judge has tastes of its own. A value through one network says little of what another, or a person, would prefer.",
    ]
    if datasets := [dataset.name for dataset in results.datasets if dataset.prepared is not None and dataset.prepared.hidden_pairs]:
        sentences.append(f"On {labels.listing(datasets)} training saw no pairs, but scores compare with the hidden ones.")
    return sentences


def judge_words(judge: Mapping[str, str | None]) -> str:
    """The name of a judge, and whether its weights were to be had."""
    return f"{judge['name']}" if judge["sha256"] else f"{judge['name']} (weights not at hand)"


def lead(results: Results) -> str:
    """Under the page's title: how many methods, what they share, and what is set beside them."""
    methods = results.methods
    elsewhere = {name: settings for name, settings in methods.items() if issubclass(METHODS[settings.implementation], Elsewhere)}
    trained = len(methods) - len(elsewhere)
    own = [name for name, settings in methods.items() if isinstance(settings, TrainedSettings) and settings.kimg is not None]
    sentence = f"{labels.plural(trained, 'method')}, trained on the same data with the same budget"
    if own:
        sentence += f"; {labels.titles(methods, own)} {'has' if len(own) == 1 else 'have'} another budget"
    sentence += ". Within a family the generator is the same, and only the loss differs"
    if apart := [name for name, settings in methods.items() if any(getattr(settings, key, None) for key in STEADYING)]:
        sentence += f"; {labels.titles(methods, apart)} also {'differs' if len(apart) == 1 else 'differ'} in what steadies the training"
    sentence += "."
    if not elsewhere:
        return sentence
    return f"{sentence} Beside them, with whatever data and budget: {labels.titles(methods, elsewhere)}."


def about(dataset: DatasetResult) -> str:
    """Under a dataset's heading: its source, its size, how many images, and what the runs were given."""
    if dataset.prepared is None:
        return "This dataset has not been prepared."
    card, counts = dataset.prepared.card, dataset.prepared.card["counts"]
    kind = "Paired" if card["paired"] else "Unpaired, scored on hidden pairs" if card["hidden_pairs"] else "Unpaired"
    train = f"{counts['train']['A']}" if card["paired"] else f"{counts['train']['A']} + {counts['train']['B']}"
    return (
        f"{kind}: source {card['source']} ({card['variant']}), {labels.pixels(card['image_size'])}; {train} training, "
        f"{counts['val']['A']} validation and {counts['test']['A']} test images; {'; '.join(footnotes.compute_parts(dataset))}."
    )


def metric_rows(results: Results) -> list[dict[str, str]]:
    """The table of the leading measures: title, direction, judge, definition and source."""
    judges = {"none": "pixels", "judge": "each judge", "lpips": "its own"}
    return [
        {
            "title": labels.metric_title(key, measure.through),
            "arrow": labels.arrow(key),
            "judge": measure.metric.network or judges[measure.metric.judge],
            "protocol": measure.metric.about.protocol,
            "citation": measure.metric.about.citation,
        }
        for key, measure in planned(results.params.evaluation).items()
        if measure.leads
    ]


def method_section(results: Results, name: str) -> dict[str, Any]:
    """A method's equations, settings, differences from its paper, and where its runs are tracked."""
    settings = results.methods[name]
    about = METHODS[settings.implementation].about
    datasets = [dataset for dataset in results.datasets if name in dataset.methods]
    records = [run.record for dataset in datasets for run in dataset.runs[name] if run.record]
    sentences = [f"{about.citation}."] if about.citation else []
    if not about.paper and (own := own_settings(settings)):
        sentences.append(f"Settings: {own}.")
    if supervision := footnotes.distinct(records, "supervision"):
        sentences.append(f"Supervision: {' or '.join(supervision)}.")
    if networks := sorted({record["loss_network"]["name"] for record in records if record.get("loss_network")}):
        sentences.append(f"Loss network: {', '.join(networks)}.")
    if fields := footnotes.distinct(records, "receptive_field"):
        sentences.append(f"Each output of D sees {' or '.join(fields)} px.")
    changed = _by_dataset(datasets, lambda dataset: next((method_sentence(run.record) for run in dataset.runs[name] if run.record), ""))
    differences = [
        *about.differences,
        *(f"Settings{where} that differ from the paper's, which stand in brackets: {text}." for text, where in changed),
    ]
    return {
        "name": name,
        "title": labels.method_title(name, settings),
        "key": charts.key(labels.method_title(name, settings), results.places[name], name),
        "runs": [(dataset.name, _tracked(results.params, dataset.name, name)) for dataset in datasets],
        "equations": _by_dataset(datasets, lambda dataset: objective(dataset.methods[name])),
        "facts": " ".join(sentences),
        "differences": differences,
        "compared": bool(records and about.paper),
    }


def own_settings(settings: MethodSettings) -> str:
    """``epsilon 0.01, edge weight 8``: what a method has that not every trained one has. Its terms stand in the equation."""
    shared = {*TranslatorSettings.model_fields, "terms"}
    values = {name: getattr(settings, name) for name in type(settings).model_fields if name not in shared}
    shown = {name.replace("_", " "): f"{value:g}" if isinstance(value, float) else str(value) for name, value in values.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def _by_dataset(datasets: list[DatasetResult], text: Callable[[DatasetResult], str]) -> list[tuple[str, str]]:
    """Each different text that isn't empty, and where it holds: `` on openmoji``; empty where it holds on all."""
    found: dict[str, list[str]] = {}
    for dataset in datasets:
        found.setdefault(text(dataset), []).append(dataset.name)
    return [(text, "" if len(found) == 1 else f" on {labels.listing(names)}") for text, names in found.items() if text]


def data_card(dataset: DatasetResult) -> dict[str, Any]:
    """A dataset's card: ``name``, and ``rows`` of (what, text); what has no text is left out."""
    if dataset.prepared is None:
        return {"name": dataset.name, "rows": [("State", "not prepared")]}
    card = dataset.prepared.card
    archive = card.get("archive") or {}
    rows = [
        ("Source", f"{card['source']}, variant {card['variant']}, {labels.pixels(card['image_size'])}"),
        ("Images (A / B)", "; ".join(f"{split} {card['counts'][split]['A']} / {card['counts'][split]['B']}" for split in SPLITS)),
        ("Prepared", ", ".join(f"{key}: {card[key]}" for key in ("condition", "fit", "augment", "limit") if card.get(key))),
        *_reading(card.get("reading") or {}),
        ("Licence", card["licence"]),
        ("Attribution", card["attribution"]),
        ("Leakage check", _flat({key: value for key, value in card["leakage"].items() if key != "checked"})),
        ("Rasteriser", card.get("rasteriser", "") if _drawn(card["source"]) else ""),
        ("Archive", f"{archive['name']}, sha256 {archive['sha256']}" if archive.get("sha256") else ""),
        ("Data sha256", card["data_sha256"]),
    ]
    return {"name": dataset.name, "rows": [(name, value) for name, value in rows if value]}


def _drawn(source: str) -> bool:
    """Whether its archive holds drawings that are rasterised here."""
    return ".svg" in getattr(SOURCES[source], "suffixes", {}).values()


def _reading(reading: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How the files were read, where that was to be found out; what of them is not in the data; and what was noticed."""
    if not reading:
        return []
    left_out = [f"{each['file']}: {each['reason']}" for each in reading["left_out"]]
    more = f"; and {len(left_out) - NAMED} more" if len(left_out) > NAMED else ""
    passed = reading["passed_over"]["count"]
    return [
        ("Layout", f"{reading['layout']} ({LAYOUT_TITLES[reading['layout']]}), {reading['sizes']} px"),
        ("Left out", f"{len(left_out)}: {'; '.join(left_out[:NAMED])}{more}" if left_out else ""),
        ("Passed over", f"{labels.plural(passed, 'file')}: no pictures" if passed else ""),
        ("Noticed", "; ".join(reading["notes"])),
    ]


def _flat(value: Any) -> str:
    """A nested value in words: ``passed yes; pairs: identical 0, near 2``."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "not applicable"
    if isinstance(value, dict):
        nested = any(isinstance(item, dict) for item in value.values())
        parts = [f"{str(key).replace('_', ' ')}{':' if isinstance(item, dict) else ''} {_flat(item)}" for key, item in value.items()]
        return ("; " if nested else ", ").join(parts)
    if isinstance(value, list):
        return ", ".join(_flat(item) for item in value) or "none"
    return str(value)


def provenance_rows(results: Results, identity: str) -> list[tuple[str, str]]:
    """(what, text) of everything that the numbers hang on: versions, devices, hashes of data and networks."""
    records = results.records
    rows = [("results.csv sha256", identity)]
    for name in dict.fromkeys(name for record in records for name in record["versions"]):
        rows.append((name, ", ".join(sorted({str(record["versions"].get(name, "")) for record in records}))))
    for key, title in (("device", "device"), ("precision", "precision"), ("threads", "threads a run")):
        if found := footnotes.distinct(records, key):
            rows.append((title, ", ".join(found)))
    for dataset in results.datasets:
        if dataset.prepared is not None:
            rows.append((f"data sha256, {dataset.name}", dataset.prepared.data_sha256))
        for judge in dataset.judges:
            rows.append((f"judge, {dataset.name}", f"{judge['name']} {judge['sha256'] or 'not to be had'}"))
    for name in sorted({str(judge["name"]) for dataset in results.datasets for judge in dataset.judges} & FIXED.keys()):
        rows.append((f"how {name} sees", FIXED[name].about.protocol))
    networks = {(network["name"], network["sha256"]) for record in records if (network := record.get("loss_network"))}
    rows += [("loss network", f"{name} {digest}") for name, digest in sorted(networks)]
    return rows
