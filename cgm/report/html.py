"""The page: one file, no script, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from cgm.data.listing import SPLITS
from cgm.methods import METHODS as IMPLEMENTATIONS
from cgm.metrics import JUDGE_PROTOCOL, METRICS
from cgm.report import facts, labels
from cgm.report.content import stamp
from cgm.report.drawing import Picture
from cgm.report.results import DatasetResult, Results
from cgm.report.summary import answer, opening
from cgm.report.tables import Cell, Column, Row, Table

TEMPLATES = Path(__file__).parent / "templates"
MIME = {"svg": "image/svg+xml", "png": "image/png"}
TITLE = "Which loss should train an image-to-image model?"


def table_page(table: Table) -> str:
    """A table on a page of its own."""
    return _environment().get_template("table_page.html.j2").render(table=table, style=_style())


def index_page(results: Results, tables: list[Table], pictures: list[Picture], results_csv: str) -> str:
    """``index.html``. ``results_csv``: its text, whose hash identifies the results."""
    identity = hashlib.sha256(results_csv.encode()).hexdigest()
    sections = [
        {
            "dataset": dataset,
            "runs": facts.runs_sentence(dataset.all_runs),
            "about": _about(dataset),
            "answer": answer(dataset),
            "opening": opening(dataset),
            "tables": [table for table in tables if table.name.partition("-")[2] == dataset.name],
            "figures": [picture for picture in _in_order(pictures) if picture.name.partition("-")[2] == dataset.name],
        }
        for dataset in results.datasets
    ]
    methods = list(results.methods)
    params = results.params
    return (
        _environment()
        .get_template("index.html.j2")
        .render(
            title=TITLE,
            lead=f"{labels.plural(len(methods), 'method')}, the same data, the same budget; within a family only the loss differs.",
            style=_style(),
            stamp=stamp(results),
            facts=[
                ("Profile", params.profile),
                ("Datasets", ", ".join(dataset.name for dataset in results.datasets)),
                ("Seeds", ", ".join(map(str, params.seeds))),
                ("Runs", facts.runs_sentence(results.all_runs)),
                ("Device", ", ".join(facts.distinct(results.records, "device")) or "none yet"),
                ("Judge", ", ".join(sorted({dataset.judge["name"] for dataset in results.datasets if dataset.judge})) or "none yet"),
                ("Result", identity[:12]),
            ],
            sections=sections,
            metrics=_metrics(results),
            methods=[_method(results, name) for name in methods],
            cards=[_card(dataset) for dataset in results.datasets],
            provenance=_provenance(results, identity),
            footer=f"cgm · result {identity[:12]} · profile {params.profile}. Images belong to their authors; see Data for licences.",
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(data_uri=_data_uri, groups_of_rows=_groups_of_rows, heading=_heading, equation=_equation)
    environment.globals.update(row_cells=_row_cells, row_under=_row_under, group_starts=_group_starts, zip=zip)
    return environment


def _style() -> Markup:
    return Markup((TEMPLATES / "style.css").read_text(encoding="utf-8"))  # our own file: nothing in it to escape


def _data_uri(content: bytes, suffix: str) -> str:
    return f"data:{MIME[suffix]};base64,{base64.b64encode(content).decode()}"


def _groups_of_rows(rows: Iterable[Row]) -> list[tuple[str, list[Row]]]:
    return [(kind, list(group)) for kind, group in itertools.groupby(rows, key=lambda row: row.kind)]


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
    """``λ_c`` with its index lowered."""
    return Markup(re.sub(r"_(\w+)", r"<sub>\1</sub>", str(escape(text))))


def _in_order(pictures: list[Picture]) -> list[Picture]:
    order = ("plane", "grid", "samples", "spectrum", "validation", "losses")
    return sorted(pictures, key=lambda picture: order.index(picture.name.partition("-")[0]))


def _about(dataset: DatasetResult) -> str:
    if dataset.prepared is None:
        return "This dataset has not been prepared."
    card, counts = dataset.prepared.card, dataset.prepared.card["counts"]
    kind = "Paired" if card["paired"] else "Unpaired, scored on hidden pairs" if card["hidden_pairs"] else "Unpaired"
    train = f"{counts['train']['A']}" if card["paired"] else f"{counts['train']['A']} + {counts['train']['B']}"
    return (
        f"{kind}: source {card['source']} ({card['variant']}), {card['image_size']} px; {train} training, {counts['val']['A']} validation "
        f"and {counts['test']['A']} test images; {'; '.join(facts.compute_parts(dataset))}."
    )


def _metrics(results: Results) -> list[dict[str, str]]:
    judges = {"none": "pixels", "judge": "the judge", "lpips": "AlexNet"}
    judge = next((dataset.judge["name"] for dataset in results.datasets if dataset.judge), "")
    return [
        {
            "title": labels.metric_title(name, judge),
            "arrow": labels.arrow(name),
            "judge": judges[spec.judge],
            "protocol": spec.protocol,
            "citation": spec.citation,
        }
        for name, spec in METRICS.items()
    ]


def _method(results: Results, name: str) -> dict[str, Any]:
    settings = results.methods[name]
    implementation = IMPLEMENTATIONS[settings.implementation]
    records = [record for record in results.records if record["method"] == name]
    sentences = []
    if supervision := facts.distinct(records, "supervision"):
        sentences.append(f"Supervision: {' or '.join(supervision)}.")
    if networks := sorted({record["loss_network"]["name"] for record in records if record.get("loss_network")}):
        sentences.append(f"Loss network: {', '.join(networks)}.")
    if fields := facts.distinct(records, "receptive_field"):
        sentences.append(f"Each output of D sees {' or '.join(fields)} px.")
    differences = list(implementation.differences)
    if changed := list(dict.fromkeys(text for record in records for text in facts.method_departures(record))):
        differences.append(f"Settings away from the paper's: {', '.join(changed)}.")
    return {
        "name": name,
        "title": labels.method_title(name, settings),
        "citation": implementation.citation,
        "equation": implementation.equation,
        "facts": " ".join(sentences),
        "differences": differences,
    }


def _card(dataset: DatasetResult) -> dict[str, Any]:
    if dataset.prepared is None:
        return {"name": dataset.name, "rows": [("State", "not prepared")]}
    card = dataset.prepared.card
    archive = card.get("archive") or {}
    rows = [
        ("Source", f"{card['source']}, variant {card['variant']}, {card['image_size']} px"),
        ("Images (A / B)", "; ".join(f"{split} {card['counts'][split]['A']} / {card['counts'][split]['B']}" for split in SPLITS)),
        ("Licence", card["licence"]),
        ("Attribution", card["attribution"]),
        ("Leakage check", _flat({key: value for key, value in card["leakage"].items() if key != "checked"})),
        ("Rasteriser", card.get("rasteriser", "")),
        ("Archive", f"{archive['name']}, sha256 {archive['sha256']}" if archive.get("sha256") else ""),
        ("Data sha256", card["data_sha256"]),
    ]
    return {"name": dataset.name, "rows": [(name, value) for name, value in rows if value]}


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
    for key, title in (("code_sha256", "code sha256"), ("device", "device"), ("precision", "precision"), ("threads", "threads a run")):
        if found := facts.distinct(records, key):
            rows.append((title, ", ".join(found)))
    for dataset in results.datasets:
        if dataset.prepared is not None:
            rows.append((f"data sha256, {dataset.name}", dataset.prepared.data_sha256))
        if dataset.judge:
            rows.append((f"judge, {dataset.name}", f"{dataset.judge['name']} {dataset.judge['sha256']}"))
    for name in sorted({dataset.judge["name"] for dataset in results.datasets if dataset.judge} & JUDGE_PROTOCOL.keys()):
        rows.append((f"how {name} sees", JUDGE_PROTOCOL[name]))
    networks = {(network["name"], network["sha256"]) for record in records if (network := record.get("loss_network"))}
    rows += [("loss network", f"{name} {digest}") for name, digest in sorted(networks)]
    return rows
