"""The experiments whose results git keeps: what their page shows is what they hold, and a changed digit shows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_docs_pictures import loaded

from cgm.core.errors import UserError
from cgm.report import verify
from pipeline.verify_command import read

ROOT = Path(__file__).parents[2]
KEPT = sorted(path for path in (ROOT / "docs/studies").iterdir() if path.is_dir())
PAGE = (ROOT / "docs/studies.md").read_text(encoding="utf-8")
LARGEST = 2_000_000
"""Bytes of all that is kept of one experiment."""


@pytest.fixture(scope="module")
def script():
    return loaded("studies")


@pytest.mark.parametrize("folder", KEPT, ids=lambda path: path.name)
def test_what_is_kept_agrees_with_itself(folder):
    files = read(folder)
    assert verify.alone(files) == []
    assert sum(map(len, files.values())) <= LARGEST
    assert any(name.startswith("tables/main-") for name in files)


@pytest.mark.parametrize("folder", KEPT, ids=lambda path: path.name)
def test_every_run_was_there_and_the_code_committed(script, folder):
    """Otherwise a table has a stamp."""
    assert [table.name for table in script.tables_in(read(folder)) if table.stamp] == []


def test_the_page_is_made_of_what_is_kept(script):
    """Whoever changes a digit in either has to change both, and the table's key."""
    assert KEPT
    for name, text in script.sections().items():
        assert f"<!-- {name}: generated, do not edit -->\n{text}\n" in PAGE
    assert set(re.findall(r"<!-- end of (\w+) -->", PAGE)) == {path.name for path in KEPT}
    for folder in KEPT:
        for path in folder.glob("tables/*.json"):
            assert json.loads(path.read_text(encoding="utf-8"))["key"] in PAGE


def test_a_report_that_contradicts_itself_is_not_kept(script, tmp_path):
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    for name, data in read(ROOT / "reports").items():
        path = tmp_path / "reports" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.replace(b"efficientnet-lite0", b"efficientnet-lite9") if name == "results.csv" else data)
    with pytest.raises(UserError, match=r"results\.csv: .*expected a whole report: run `make all` there"):
        script.taken(tmp_path)


def test_a_folder_without_a_report_is_one_line(tmp_path):
    found = subprocess.run([sys.executable, ROOT / "docs/studies.py", tmp_path], capture_output=True, text=True, check=False, cwd=ROOT)
    assert found.returncode == 1
    assert found.stderr.count("\n") == 1
    assert "params.yaml" in found.stderr
