"""The page: all of the report in one file that loads nothing but what lies beside it.

``page.js`` (:mod:`cgm.report.script`) makes tables, charts and images answer, and ``samples/`` (:mod:`cgm.report.browser`) holds the test
images. Without them everything is there to read all the same.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from cgm.claims.ledger import NONE, Ledger
from cgm.claims.verdict import Verdict
from cgm.data.layouts import TITLES as LAYOUT_TITLES
from cgm.data.listing import SPLITS
from cgm.data.sources import SOURCES
from cgm.evaluation.measures import planned
from cgm.experiment.params import Params
from cgm.methods import METHODS
from cgm.methods.method import Elsewhere, MethodSettings, TrainedSettings, TranslatorSettings
from cgm.networks.fixed import FIXED
from cgm.report import browser, cards, charts, footnotes, labels
from cgm.report.browser import Browsed
from cgm.report.charts import Chart, Key
from cgm.report.citation import BIB, NOT_CITABLE, NUMBERS, stamp
from cgm.report.citation import TITLE as SOFTWARE
from cgm.report.departures import method_sentence
from cgm.report.figures import FIGURES
from cgm.report.figures.figure import Picture
from cgm.report.groups import GROUPS, HEADINGS, Group
from cgm.report.objective import objective
from cgm.report.plotting import DARK, LIGHT, for_both_themes
from cgm.report.results import DatasetResult, Results
from cgm.report.summary import answer, opening
from cgm.report.table_format import Cell, Column, Row, Table
from cgm.report.tables import TABLES
from cgm.report.tables.verdicts import EXPECTED

NAMED = 5
"""So many of the pictures that were left out are named; the card in ``data/prepared`` names all."""
TEMPLATES = Path(__file__).parent / "templates"
TITLE = "Which loss should train an image-to-image model?"
PLAIN = " !$'()*+,-./:;=?@_~"
"""What stands in a data URI as it is."""
MLFLOW = "http://127.0.0.1:5000"
"""Where ``make ui`` serves a store of this machine."""
STEADYING = ("learning_rate", "batch_size", "networks", "ema_kimg", "r1", "diffaugment")
"""What an entry may train with that isn't its loss."""


@dataclass(frozen=True, kw_only=True)
class Badge:
    """What stands beside the result's name. ``why``: a sentence, where one is owed."""

    text: str
    kind: Literal["good", "bad", "plain"]
    why: str = ""


def table_page(table: Table) -> str:
    """A table on a page of its own."""
    return _environment().get_template("table_page.html.j2").render(table=table, style=_style())


def index_page(
    results: Results,
    tables: list[Table],
    pictures: list[Picture],
    drawn: Mapping[str, bytes],
    results_csv: str,
    *,
    browsed: Sequence[Browsed] = (),
    verdicts: Sequence[Verdict] = (),
    ledger: Ledger = NONE,
) -> str:
    """``index.html``. ``drawn``: SVG by the name of its picture. ``results_csv``: its text, whose hash identifies the results.

    ``verdicts``: on the claims of the ``ledger``.
    """
    identity = hashlib.sha256(results_csv.encode()).hexdigest()
    sections = [
        {
            "dataset": dataset,
            "runs": footnotes.runs_sentence(dataset.all_runs),
            "about": _about(dataset),
            "answer": answer(dataset),
            "opening": opening(dataset),
            "groups": _groups(dataset, tables, pictures, drawn),
        }
        for dataset in results.datasets
    ]
    params = results.params
    return (
        _environment()
        .get_template("index.html.j2")
        .render(
            title=TITLE,
            lead=_lead(results),
            style=_style(),
            stamp=stamp(results),
            identity=identity[:12],
            badges=[_runs_badge(results), Badge(text=NOT_CITABLE, kind="bad") if stamp(results) else Badge(text="citable", kind="good")],
            cite=_cite(results, identity),
            cite_files=(BIB, NUMBERS),
            verdicts=cards.by_kind(verdicts),
            expected=EXPECTED,
            experiment_tables=[table for table in tables if not table.dataset],
            experiment_figures=[(picture, _source(picture, drawn)) for picture in pictures if not picture.dataset],
            claims={verdict.claim.id for verdict in verdicts},
            facts=[
                ("Experiment", params.experiment),
                ("Datasets", ", ".join(dataset.name for dataset in results.datasets)),
                ("Seeds", ", ".join(map(str, params.seeds))),
                ("Runs", footnotes.runs_sentence(results.all_runs)),
                ("Device", ", ".join(footnotes.distinct(results.records, "device")) or "none yet"),
                (
                    "Judges",
                    ", ".join(dict.fromkeys(_judge(judge) for dataset in results.datasets for judge in dataset.judges)) or "none yet",
                ),
            ],
            sections=sections,
            headings={name: maker.heading for name, maker in TABLES.items()},
            browsed=browsed,
            quality=browser.QUALITY,
            columns=browser.COLUMNS,
            metrics=_metrics(results),
            methods=[_method(results, name) for name in results.methods],
            cards=[_card(dataset) for dataset in results.datasets],
            provenance=[*_provenance(results, identity), ("claims", f"{ledger.name} {ledger.sha256}" if ledger.sha256 else "no file")],
            limitations=_limitations(results),
            footer=f"cgm · result {identity[:12]} · experiment {params.experiment}. Images belong to their authors; see Data for licences.",
        )
    )


def _groups(
    dataset: DatasetResult, tables: list[Table], pictures: list[Picture], drawn: Mapping[str, bytes]
) -> list[tuple[Group, str, list[tuple[Picture, Markup]], list[Table]]]:
    """(id, heading, figures with their sources, tables) of each part of a dataset's section that holds anything."""
    found = []
    for group in GROUPS:
        figures = [
            (picture, _source(picture, drawn))
            for picture in pictures
            if picture.dataset == dataset.name and FIGURES[picture.kind].group == group
        ]
        own = [table for table in tables if table.dataset == dataset.name and TABLES[table.kind].group == group]
        if figures or own:
            found.append((group, HEADINGS[group], figures, own))
    return found


def _runs_badge(results: Results) -> Badge:
    whole = all(run.ok for run in results.all_runs)
    return Badge(text="all runs ok" if whole else footnotes.runs_sentence(results.all_runs), kind="good" if whole else "bad")


def _cite(results: Results, identity: str) -> str:
    """The report as a whole; tables and numbers have their own keys."""
    origin = results.origin
    commit = f", commit {origin.commit[:12]} of {origin.date}" if origin.commit else ""
    return f"{SOFTWARE}; experiment {results.params.experiment}, result {identity[:12]}{commit}."


def _tracked(params: Params, dataset: str, method: str) -> str:
    """Where MLflow shows the runs of a method: in a store of this machine's, whose first experiment is this one, a search for them; on a
    server, whose experiments have whatever numbers, the experiment by its name."""
    uri = params.tracking.uri
    if uri.startswith("http"):
        return f"{uri.rstrip('/')}/#/experiments?experimentSearchFilter={quote(params.tracked_as)}"
    search = f"tags.dataset = '{dataset}' and tags.method = '{method}'"
    return f"{MLFLOW}/#/experiments/1/runs?searchFilter={quote(search)}"


def _limitations(results: Results) -> list[str]:
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


def _judge(judge: Mapping[str, str | None]) -> str:
    return f"{judge['name']}" if judge["sha256"] else f"{judge['name']} (not to be had)"


def _lead(results: Results) -> str:
    methods = results.methods
    elsewhere = {name: settings for name, settings in methods.items() if issubclass(METHODS[settings.implementation], Elsewhere)}
    trained = len(methods) - len(elsewhere)
    own = [name for name, settings in methods.items() if isinstance(settings, TrainedSettings) and settings.kimg is not None]
    but = f" but for {labels.titles(methods, own)}" if own else ""
    sentence = f"{labels.plural(trained, 'method')}, the same data, the same budget{but}. "
    sentence += "Within a family, with the same generator, only the loss differs"
    apart = [name for name, settings in methods.items() if any(getattr(settings, key, None) for key in STEADYING)]
    sentence += f", and for {labels.titles(methods, apart)} what steadies the training." if apart else "."
    if not elsewhere:
        return sentence
    return f"{sentence} Beside them, with whatever data and budget: {labels.titles(methods, elsewhere)}."


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(heading=_heading, equation=_equation, common_keys=_common_keys, json=_json)
    environment.filters.update({name: getattr(cards, name) for name in ("slug", "p_value", "drawing")})
    environment.globals.update(row_cells=_row_cells, row_under=_row_under, group_starts=_group_starts, zip=zip)
    return environment


def _style() -> Markup:
    """Our own file: nothing in it to escape. The series' colours come from the drawn figures' themes."""
    light, dark = ("".join(f"--series-{place}:{colour};" for place, colour in enumerate(theme.palette)) for theme in (LIGHT, DARK))
    colours = f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
    return Markup(colours + (TEMPLATES / "style.css").read_text(encoding="utf-8"))


def _json(value: object) -> Markup:
    """JSON inside a script element, which only ``</`` could end."""
    return Markup(json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/"))


def _common_keys(shown: Sequence[Chart]) -> list[Key]:
    """What the panels' series stand for; empty where a name stands for one thing here and for another there."""
    found: dict[str, Key] = {}
    for each in (each for chart in shown for each in chart.keys):
        if found.setdefault(each.label, each) != each:
            return []
    return list(found.values())


def _row_cells(table: Table, row: Row) -> list[tuple[Column, Cell]]:
    return [(column, cell) for column, cell in zip(table.columns, row.cells, strict=True) if not column.under]


def _row_under(table: Table, row: Row) -> list[str]:
    """What stands below the row's title; nothing for a baseline."""
    if row.kind != "method":
        return []
    return [cell.text for column, cell in zip(table.columns, row.cells, strict=True) if column.under and cell.text]


def _group_starts(table: Table) -> set[str]:
    """Keys of the columns with which a titled group begins."""
    before = ("", *(column.group for column in table.wide))
    return {column.key for group, column in zip(before, table.wide, strict=False) if column.group != group}


def _heading(title: str) -> Markup:
    """May break after the hyphen of a judge's name and before an @, but not after a ÷."""
    title = title.replace("÷ ", "÷\N{NO-BREAK SPACE}")
    return Markup("<wbr>").join(escape(part) for part in re.split(r"(?<=-)|(?=@)", title))


def _equation(text: str) -> Markup:
    """``λ_c`` and ``‖x‖²_F`` with their indices lowered; other names with an underscore as they are."""
    return Markup(re.sub(r"(?<=[λ²])_(\w+)", r"<sub>\1</sub>", str(escape(text))))


def _source(picture: Picture, drawn: Mapping[str, bytes]) -> Markup:
    """A figure as a data URI. SVG stays text, a quarter smaller than as base64, and what changes in it is what git keeps.

    Its quotation marks become apostrophes, which a URI holds as they are. Sheets are WebP here, without loss and a fifth smaller than PNG.
    """
    if picture.is_sheet:
        file = io.BytesIO()
        Image.open(io.BytesIO(picture.image)).convert("RGB").save(file, format="WEBP", lossless=True, quality=60, method=3)
        return Markup(f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}")
    svg = for_both_themes(drawn[picture.name])
    svg = svg if b"'" in svg else svg.replace(b'"', b"'")
    return Markup(f"data:image/svg+xml,{quote(svg, safe=PLAIN)}")  # nothing in it to escape: PLAIN has no &, < or quotation mark


def _about(dataset: DatasetResult) -> str:
    if dataset.prepared is None:
        return "This dataset has not been prepared."
    card, counts = dataset.prepared.card, dataset.prepared.card["counts"]
    kind = "Paired" if card["paired"] else "Unpaired, scored on hidden pairs" if card["hidden_pairs"] else "Unpaired"
    train = f"{counts['train']['A']}" if card["paired"] else f"{counts['train']['A']} + {counts['train']['B']}"
    return (
        f"{kind}: source {card['source']} ({card['variant']}), {labels.pixels(card['image_size'])}; {train} training, "
        f"{counts['val']['A']} validation and {counts['test']['A']} test images; {'; '.join(footnotes.compute_parts(dataset))}."
    )


def _metrics(results: Results) -> list[dict[str, str]]:
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


def _method(results: Results, name: str) -> dict[str, Any]:
    settings = results.methods[name]
    about = METHODS[settings.implementation].about
    datasets = [dataset for dataset in results.datasets if name in dataset.methods]
    records = [run.record for dataset in datasets for run in dataset.runs[name] if run.record]
    sentences = [f"{about.citation}."] if about.citation else []
    if not about.paper and (own := _own_settings(settings)):
        sentences.append(f"Settings: {own}.")
    if supervision := footnotes.distinct(records, "supervision"):
        sentences.append(f"Supervision: {' or '.join(supervision)}.")
    if networks := sorted({network["name"] for record in records for network in record.get("loss_network") or ()}):
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


def _own_settings(settings: MethodSettings) -> str:
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


def _card(dataset: DatasetResult) -> dict[str, Any]:
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


def _provenance(results: Results, identity: str) -> list[tuple[str, str]]:
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
    networks = {(network["name"], network["sha256"]) for record in records for network in record.get("loss_network") or ()}
    rows += [("loss network", f"{name} {digest}") for name, digest in sorted(networks)]
    return rows
