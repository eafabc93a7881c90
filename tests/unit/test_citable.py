"""A report that can be cited: every format from one table, keys, footers and stamps; and what notices a changed digit."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet
from pybtex.database import parse_string
from report_inputs import make_params, write_inputs

from cgm.core.errors import UserError
from cgm.experiment.params import Params
from cgm.report import citation, cite, verify
from cgm.report.build import build, of_tables
from cgm.report.origin import Origin
from cgm.report.parquet import images_parquet
from cgm.report.results import collect
from cgm.report.table_format import Cell, Table, from_json, to_json
from pipeline import cli

ROOT = Path(__file__).parents[2]
CLEAN = Origin(commit="0123456789abcdef" * 2 + "01234567", date="2026-02-03")
MAIN = "tables/main-icons_a"


@pytest.fixture(scope="module")
def params() -> Params:
    return make_params([0, 1, 2])


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, params: Params) -> Path:
    root = tmp_path_factory.mktemp("inputs")
    write_inputs(root, params, diverged=("icons_a/pix2pix/1",))
    for seed in range(3):
        lines = ["index,id,mae,pd", "0,smile,0.1,0.123456", f"1,frown,0.{seed}5,"]
        (root / f"results/icons_a/mae/{seed}/per_image.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="module")
def files(tree: Path, params: Params) -> dict[str, bytes]:
    return build(params, tree, CLEAN).cited


def tables_of(files: dict[str, bytes]) -> list[Table]:
    return [from_json(content.decode()) for name, content in files.items() if name.startswith("tables/") and name.endswith(".json")]


# Formats, key, footer, stamp.


def test_json_holds_all_of_a_table(files: dict[str, bytes]) -> None:
    made = of_tables(tables_of(files), CLEAN)
    assert {name for name in made if name.startswith("tables/")} == {name for name in files if name.startswith("tables/")}
    assert [name for name in made if made[name] != files[name]] == []


def test_json_is_typed(files: dict[str, bytes]) -> None:
    value = json.loads(files[f"{MAIN}.json"])
    columns = {column["key"]: column for column in value["columns"]}
    assert (columns["kid"]["scale"], columns["kid"]["direction"], columns["kid"]["judge"]) == (1000.0, "lower", "efficientnet-lite0")
    assert (columns["highfreq_ratio"]["direction"], columns["highfreq_ratio"]["target"]) == ("target", 1.0)
    row = next(row for row in value["rows"] if row["key"] == "mae")
    cell = row["cells"]["mae"]
    assert cell["mean"] == pytest.approx(0.0606)
    assert (cell["n"], cell["best"], row["kind"]) == (3, True, "method")
    assert cell["half_width"] > 0
    assert cell["text"] == f"{cell['mean']:.4f} ± {cell['half_width']:.4f}"
    assert value["key"] == f"cgm-main-icons_a-{value['sha256'][:8]}"


def test_the_key_is_of_what_the_table_says(files: dict[str, bytes]) -> None:
    table = from_json(files[f"{MAIN}.json"].decode())
    assert replace(table, stamp="NOT CITABLE", provenance=()).key == table.key
    first = table.rows[0]
    cells = tuple(
        replace(cell, interval=replace(cell.interval, mean=cell.interval.mean + 1e-12)) if cell.interval else cell for cell in first.cells
    )
    for other in (
        replace(table, rows=(replace(first, cells=cells), *table.rows[1:])),
        replace(table, footnotes=(*table.footnotes, "One more.")),
        replace(table, title="Another"),
    ):
        assert other.key != table.key


def test_names_of_cells_are_unique(files: dict[str, bytes]) -> None:
    table = from_json(files[f"{MAIN}.json"].decode())
    with pytest.raises(ValueError, match="row mae is there more than once"):
        replace(table, rows=(table.rows[0], table.rows[0]))
    with pytest.raises(ValueError, match="column method is there more than once"):
        replace(table, columns=(table.columns[0],) * 2, rows=())


def test_every_table_has_its_footer_in_every_format(files: dict[str, bytes]) -> None:
    for table in tables_of(files):
        for part in (
            "cgm 0.1.0",
            "commit 0123456789ab (clean)",
            "seeds 0, 1, 2",
            "torch 2.15.0",
            "on CPU (x86_64)",
            f"cite as {table.key}",
        ):
            assert part in table.footer
        assert table.footer in files[f"tables/{table.name}.md"].decode()
        assert table.footer.replace("&", "&amp;").replace("'", "&#39;") in files[f"tables/{table.name}.html"].decode()
        assert citation.escape_latex(table.footer) in files[f"tables/{table.name}.tex"].decode()
        assert {row["cite"] for row in csv.DictReader(io.StringIO(files[f"tables/{table.name}.csv"].decode()))} == {table.key}
        assert table.key in files["index.html"].decode()
    assert "± 95% interval, Student's t over seeds" in from_json(files[f"{MAIN}.json"].decode()).footer
    assert "±" not in from_json(files["tables/cost-icons_a.json"].decode()).footer  # no intervals there


def test_nothing_speaks_against_a_whole_report_with_a_diverged_run(files: dict[str, bytes]) -> None:
    assert not [name for name, content in files.items() if citation.NOT_CITABLE.encode() in content]


def test_what_must_not_be_cited_says_so_everywhere(tree: Path, params: Params) -> None:
    origin = replace(CLEAN, changed=("a.py", "b.py", "c.py", "d.py", "params.yaml"), other_code=("icons_a/mae/0",))
    made = build(params, tree, replace(origin, without={"icons_a/mae/2": "build/logs/train.log", "icons_a/perceptual/0": ""}))
    reasons = (
        "1 run failed (icons_a/mae/2)", "1 run missing (icons_a/perceptual/0)",
        "the code had changes that were not committed (a.py, b.py, c.py and 2 more)",
        "1 run trained by other code than the commit's (icons_a/mae/0)",
    )  # fmt: skip
    for name, content in made.cited.items():
        if name == "index.html" or name.startswith("tables/") or name.endswith((".tex", ".bib")):
            assert citation.NOT_CITABLE in content.decode(), name
            assert all(reason.replace("_", "\\_" if name.endswith(("tex", "bib")) else "_").replace("'", "&#39;" if "html" in name else "'")
                       in content.decode() for reason in reasons) or name == citation.NUMBERS, name  # fmt: skip


def test_without_a_commit_nobody_knows_the_code(tree: Path, params: Params) -> None:
    assert citation.stamp(collect(params, tree)) == "NOT CITABLE – the code's commit is not known (git names none)"


# verify.


def swap(text: str) -> str:
    """Another digit in place of the last one."""
    return re.sub(r"\d(?=\D*$)", lambda found: str((int(found[0]) + 1) % 10), text, count=1)


def in_line(marker: str, pattern: str) -> Callable[[bytes], bytes]:
    """Another digit in the first match of ``pattern`` in the first line that has ``marker``."""

    def change(content: bytes) -> bytes:
        lines = content.decode().split("\n")
        place = next(place for place, line in enumerate(lines) if marker in line and re.search(pattern, line))
        lines[place] = re.sub(pattern, lambda found: swap(found[0]), lines[place], count=1)
        return "\n".join(lines).encode()

    return change


def in_mean(content: bytes) -> bytes:
    value = json.loads(content)
    value["rows"][1]["cells"]["kid"]["mean"] = float(swap(repr(value["rows"][1]["cells"]["kid"]["mean"])))
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def in_parquet(content: bytes) -> bytes:
    table = parquet.read_table(io.BytesIO(content))
    values = table["value"].to_pylist()
    place = next(place for place, value in enumerate(values) if value)
    values[place] = float(swap(f"{values[place]:.6f}"))
    column = table.schema.get_field_index("value")
    file = io.BytesIO()
    parquet.write_table(table.set_column(column, table.schema.field(column), pa.array(values, table.schema.field(column).type)), file)
    return file.getvalue()


NUMBER = r"\d+\.\d+"
IN_ROW = rf'scope="row">Pix2Pix<.*?{NUMBER}'
CHANGES: dict[str, tuple[str, Callable[[bytes], bytes], str, str]] = {
    "csv": (f"{MAIN}.csv", in_line("pix2pix,", NUMBER), "row pix2pix, column mae", "same"),
    "half-width in csv": (f"{MAIN}.csv", in_line("mae,", r"(?<=\d,)0\.\d+(?=,3,1,)"), "row mae, column mae_ci95", "same"),
    "tex": (f"{MAIN}.tex", in_line("Pix2Pix &", NUMBER), "row Pix2Pix, column MAE $\\downarrow$", "same"),
    "md": (f"{MAIN}.md", in_line("| Pix2Pix |", NUMBER), "row Pix2Pix, column MAE ↓", "same"),
    "mean in json": (f"{MAIN}.json", in_mean, "row pix2pix, column kid", "same"),
    "text in json": (f"{MAIN}.json", in_line('"text": "0.0', NUMBER), "row mae, column mae.text", "same"),
    "html": (f"{MAIN}.html", in_line('scope="row">Pix2Pix<', IN_ROW), "row main-icons_a: Pix2Pix", "same"),
    "numbers.tex": ("numbers.tex", in_line("{main-icons_a/pix2pix/kid}", NUMBER), "row main-icons_a/pix2pix, column kid", "same"),
    "results.csv": ("results.csv", in_line("icons_a,mae,1,mae,", NUMBER), "row icons_a/mae/1/mae, column value", "same"),
    "parquet": ("results.parquet", in_parquet, "column value", "same"),
    "images' parquet": ("images.parquet", in_parquet, "column value", "file"),
    "a figure's csv": ("figures/plane-icons_a.csv", in_line("icons_a,mae,0,", NUMBER), "row 1 (icons_a, mae, 0), column mae", "file"),
    "another figure's csv": ("figures/spectrum-icons_a.csv", in_line("pix2pix", r"0\.\d+$|0\.\d+(?=,)"), "column", "file"),
    "the page": ("index.html", in_line('scope="row">Pix2Pix<', IN_ROW), "Pix2Pix", "file"),
    "curves": ("curves.csv", in_line("icons_a", NUMBER), "column", "file"),
    "what DVC reads": ("metrics/icons_a/mae.json", in_line('"mae"', NUMBER), "column mae", "file"),
    "BibTeX": ("citation.bib", in_line("SHA-256", r"\d(?=[0-9a-f]*\})"), "line", "same"),
}  # fmt: skip


def test_a_fresh_report_is_as_it_should_be(files: dict[str, bytes], tree: Path, params: Params) -> None:
    assert verify.alone(files) == []
    assert verify.between(files, build(params, tree, CLEAN).cited) == []


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_digit_is_named(files: dict[str, bytes], what: str) -> None:
    """By the runs' files, and by the report's own: there ``same``: it names the cell as well; ``file``: nothing else in a report holds this
    number, so that the manifest tells the file."""
    name, change, where, by_itself = CHANGES[what]
    changed = {**files, name: change(files[name])}
    assert changed[name] != files[name]
    found = verify.between(changed, files)
    assert [each.file for each in found if each.where] == [name] * len(found), "one file, and cells of it"
    assert any(where in each.where and each.found != each.expected for each in found), found
    alone = verify.alone(changed)
    assert alone, "by itself"
    if by_itself == "same":
        assert any(each.file == name and where in each.where for each in alone), alone
    else:
        assert [each.file for each in alone] == [name]


@pytest.mark.parametrize("what", ["csv", "tex", "md", "mean in json", "html", "numbers.tex", "results.csv", "parquet"])
def test_a_manifest_that_was_changed_too_hides_nothing(files: dict[str, bytes], what: str) -> None:
    name, change, *_ = CHANGES[what]
    changed = {**files, name: change(files[name])}
    manifest = json.loads(files["manifest.json"])
    manifest["sha256"][name] = hashlib.sha256(changed[name]).hexdigest()
    changed["manifest.json"] = json.dumps(manifest).encode()
    assert verify.alone(changed)


def test_files_that_are_missing_or_too_many_are_named(files: dict[str, bytes]) -> None:
    changed = {name: content for name, content in files.items() if name != f"{MAIN}.md"} | {"tables/mine.csv": b"1"}
    for found in (verify.alone(changed), verify.between(changed, files)):
        assert {(each.file, each.found) for each in found} >= {(f"{MAIN}.md", "nothing"), ("tables/mine.csv", "a file")}


def test_files_that_cannot_be_read_are_named(files: dict[str, bytes]) -> None:
    for name in ("results.csv", "results.parquet", f"{MAIN}.json", "provenance.json", "manifest.json"):
        for content in (b"", b"\xff\xfe", b"[1]", b"dataset,value\nicons_a,x\n"):
            changed = {**files, name: content}
            assert name in {each.file for each in verify.alone(changed)}, (name, content)
            assert name in {each.file for each in verify.between(changed, files)}, (name, content)


SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "binary": lambda content: bytes(range(256)) * 3,
    "nested": lambda content: b"[" * 100_000,
    "null": lambda content: b"null",
    "bare": lambda content: b'a\rb,c\r\n"',
    "long": lambda content: b"a," + b"9" * 300_000,
}


@pytest.mark.parametrize("how", SPOILT)
def test_whatever_stands_in_a_file_is_a_difference_and_no_failure(files: dict[str, bytes], how: str) -> None:
    names = (
        "manifest.json", "provenance.json", "results.csv", "results.parquet", "images.parquet", "numbers.tex", "citation.bib", "index.html",
        *(f"{MAIN}.{suffix}" for suffix in ("json", "csv", "md", "tex", "html")),
    )  # fmt: skip
    for name in names:
        changed = {**files, name: SPOILT[how](files[name])}
        assert name in {each.file for each in verify.alone(changed)}, name
        assert name in {each.file for each in verify.between(changed, files)}, name


@pytest.mark.parametrize("value", [None, 3, "x", [], {}, [1], 1e308, float("nan"), "\ud800"])
def test_whatever_stands_in_a_tables_json_is_a_difference_and_no_failure(files: dict[str, bytes], value: object) -> None:
    places: tuple[tuple[str | int, ...], ...] = (
        ("key",), ("not_citable",), ("provenance",), ("name",), ("dataset",), ("columns",), ("rows",), ("footnotes",), ("title",),
        ("columns", 3), ("columns", 3, "scale"), ("columns", 3, "places"), ("columns", 3, "target"), ("columns", 3, "title"),
        ("rows", 0), ("rows", 0, "kind"), ("rows", 0, "cells"), ("rows", 0, "cells", "kid"), ("rows", 0, "cells", "kid", "mean"),
        ("rows", 0, "cells", "kid", "n"), ("rows", 0, "cells", "kid", "mark"), ("rows", 0, "cells", "kid", "half_width"),
    )  # fmt: skip
    for place in places:
        content = json.loads(files[f"{MAIN}.json"])
        inside = content
        for key in place[:-1]:
            inside = inside[key]
        if inside[place[-1]] == value:
            continue
        inside[place[-1]] = value
        found = verify.alone({**files, f"{MAIN}.json": json.dumps(content).encode()})
        assert f"{MAIN}.json" in {each.file for each in found}, place


def write(files: dict[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def test_the_command(
    files: dict[str, bytes], tree: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """First beside the runs, then from another folder, as a reader has it."""
    root = tmp_path / "project"
    shutil.copytree(tree, root)
    values = params.model_dump()
    values["methods"] = {name: method.model_dump() for name, method in params.methods.items()}
    (root / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    monkeypatch.chdir(root)
    write(files, root / "reports")
    cli.main(["verify"])
    assert "they are what the runs' files make, rendered anew" in capsys.readouterr().out
    path = root / "results/icons_a/mae/1/metrics.json"
    path.write_text(path.read_text().replace("0.0606", "0.0607"))
    with pytest.raises(SystemExit) as ended:
        cli.main(["verify", "reports", "--json", "found.json"])
    assert ended.value.code == 1
    assert re.search(r"tables/main-icons_a\.csv: row mae, column mae: found 0\.0605\d+, expected 0\.0606\d+", capsys.readouterr().out)
    assert json.loads((root / "found.json").read_text())["rendered_anew"] is True

    monkeypatch.chdir(tmp_path)
    cli.main(["verify", "project/reports"])
    assert "they agree with one another and with the manifest" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        cli.main(["verify", "elsewhere"])
    assert ended.value.code == 2
    assert "elsewhere: no folder; expected one with a report" in capsys.readouterr().err


# cite.


def test_a_number_is_cited_in_a_sentence(files: dict[str, bytes]) -> None:
    table = from_json(files[f"{MAIN}.json"].decode())
    text = table.text(table.columns[3], table.rows[0].cells[3])
    about = "lower is better, mean ± half-width of the 95% interval, Student's t over seeds; 3 seeds"
    assert cite.number_sentence(table, "mae", "mae") == (f"On icons_a, MAE regression has MAE {text} ({about}) [{table.key}].")
    assert "interval over 3 splits) [" in cite.number_sentence(table, "floor:real", "kid")
    stamped = replace(table, stamp="NOT CITABLE – smoke")
    assert cite.number_sentence(stamped, "mae", "mae").startswith("NOT CITABLE – smoke. On icons_a")
    for names, message in (
        (("pix2px", "mae"), "row 'pix2px': not in table main-icons_a; did you mean 'pix2pix'?"),
        (("mae", "kidd"), "column 'kidd': not in table main-icons_a; did you mean 'kid'?"),
        (("mae", "lpips"), "main-icons_a: mae has no number in lpips"),
    ):
        with pytest.raises(UserError, match=re.escape(message)):
            cite.number_sentence(table, *names)


def test_cite_command(files: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(files, tmp_path)
    cli.main(["cite", "main-icons_a", "mae", "kid", "--reports", str(tmp_path), "--bibtex"])
    sentence, _, entry = capsys.readouterr().out.partition("\n\n")
    key = from_json(files[f"{MAIN}.json"].decode()).key
    assert sentence.endswith(f"[{key}].")
    assert list(parse_string(entry, "bibtex").entries) == [key]
    cli.main(["cite", "main-icons_a", "--reports", str(tmp_path)])
    assert "commit 0123456789ab (clean)" in capsys.readouterr().out
    (tmp_path / f"{MAIN}.json").write_bytes(in_mean(files[f"{MAIN}.json"]))
    for arguments, message in (
        (["main-icons"], "did you mean 'main-icons_a'?"),
        (["main-icons_a"], "but that of what it says is cgm-main-icons_a-"),
        (["main-icons_a", "mae"], "a METRIC is missing"),
    ):
        with pytest.raises(SystemExit) as ended:
            cli.main(["cite", *arguments, "--reports", str(tmp_path)])
        assert ended.value.code == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", [f"{MAIN}.json", "citation.bib"])
def test_cite_tells_of_a_file_that_cannot_be_read_in_one_line(
    files: dict[str, bytes], name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(files, tmp_path)
    path = tmp_path / name
    spoilt: list[Callable[[], object]] = [
        *(lambda spoil=spoil: path.write_bytes(spoil(files[name])) for spoil in SPOILT.values()),  # type: ignore[misc]
        path.unlink, lambda: path.symlink_to(path.name), path.unlink, lambda: path.symlink_to("nowhere"), path.unlink, path.mkdir,
    ]  # fmt: skip
    for spoil in spoilt:
        spoil()
        if not path.is_symlink() and not path.exists() and name.endswith("json"):
            continue  # a table that is not there is another matter
        with pytest.raises(SystemExit) as ended:
            cli.main(["cite", "main-icons_a", "--bibtex", "--reports", str(tmp_path)])
        shown = capsys.readouterr()
        assert (ended.value.code, shown.out, shown.err.count("\n")) == (2, "", 1)
        assert f"{name}: " in shown.err


# LaTeX, BibTeX, CITATION.cff, Parquet.


def test_bibtex_has_an_entry_a_table(files: dict[str, bytes]) -> None:
    entries = parse_string(files["citation.bib"].decode(), "bibtex").entries
    assert set(entries) == {"cgm", *(table.key for table in tables_of(files))}
    for entry in entries.values():
        assert entry.fields["year"] == "2026"
        assert "commit 0123456789ab" in entry.fields["note"]


def test_citation_cff_is_valid_and_of_this_version() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.citation-file-format", str(ROOT / "CITATION.cff")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    stated = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert stated["title"] == citation.TITLE
    assert stated["version"] == __import__("cgm").__version__


def test_every_number_has_a_name_in_latex(files: dict[str, bytes]) -> None:
    names = re.findall(r"\\cgm@set\{([^}]*)\}", files["numbers.tex"].decode())
    assert len(names) == len(set(names))
    for table in tables_of(files):
        numbers = [
            f"{table.name}/{row.key}/{column.key}"
            for row in table.rows
            for column, cell in zip(table.columns, row.cells, strict=True)
            if cell.interval is not None
        ]
        assert numbers == [name for name in names if name.startswith(f"{table.name}/")]


DOCUMENT = r"""
\documentclass[twocolumn]{article}
\usepackage[T1]{fontenc}\usepackage{booktabs,graphicx}
\input{numbers}
\begin{document}
\catcode`\:=13 \def:{\string:}% as babel's French has it
A \cgm{main-icons_a/pix2pix_l10/kid} \cgmmean{main-icons_a/mae/mae} \cgmhalf{main-icons_a/mae/mae} \cgmn{main-icons_a/floor:real/kid}
\typeout{FOUND \cgmkey{main-icons_a}}\cite{KEY}
TABLES
\bibliographystyle{plain}\bibliography{citation}
\end{document}
"""


@pytest.mark.slow
def test_latex_compiles(files: dict[str, bytes], tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None or shutil.which("bibtex") is None:
        pytest.skip("no pdflatex or bibtex: apt-get install texlive-latex-recommended")
    write(files, tmp_path)
    tables = tables_of(files)
    text = DOCUMENT.replace("TABLES", "\n".join(f"\\input{{tables/{table.name}}}" for table in tables)).replace("KEY", tables[0].key)
    (tmp_path / "paper.tex").write_text(text)

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
        assert done.returncode == 0, done.stdout[-3000:]
        return done.stdout

    latex = ("pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex")
    run(*latex)
    run("bibtex", "paper")
    run(*latex)
    assert "undefined" not in run(*latex)
    (tmp_path / "paper.tex").write_text(text.replace("main-icons_a/mae/mae", "main-icons_a/mae/maae"))
    done = subprocess.run(latex, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert "Package cgm Error: No number main-icons_a/mae/maae" in done.stdout


def test_parquet_says_what_csv_says(files: dict[str, bytes], tree: Path, params: Params) -> None:
    table = parquet.read_table(io.BytesIO(files["results.parquet"]))
    rows = list(csv.DictReader(io.StringIO(files["results.csv"].decode())))
    assert table.column_names == list(rows[0])
    assert [repr(value) if value is not None else "" for value in table["value"].to_pylist()] == [row["value"] for row in rows]
    images = parquet.read_table(io.BytesIO(files["images.parquet"]))
    assert images.num_rows == 3 * (2 + 1)
    first = images.to_pylist()[0]
    assert {**first, "value": round(first["value"], 6)} == {
        "dataset": "icons_a", "method": "mae", "seed": 0, "metric": "mae", "image": "smile", "value": 0.1,
    }  # fmt: skip
    assert images_parquet(collect(params, tree)) == files["images.parquet"]


def test_a_per_image_file_that_cannot_be_read_is_named(params: Params, tree: Path, tmp_path: Path) -> None:
    shutil.copytree(tree / "results", tmp_path / "results")
    (tmp_path / "results/icons_a/mae/1/per_image.csv").write_text("index,id,mae\n0,a,b\n")
    with pytest.raises(UserError, match=r"icons_a/mae/1/per_image\.csv: found could not convert .* run the stage 'evaluate'"):
        images_parquet(collect(params, tmp_path))


def test_an_empty_cell_and_a_text_survive(files: dict[str, bytes]) -> None:
    table = from_json(files[f"{MAIN}.json"].decode())
    lpips = next(place for place, column in enumerate(table.columns) if column.key == "lpips")
    assert {row.cells[lpips] for row in table.rows} == {Cell()}
    assert from_json(to_json(table)) == table
