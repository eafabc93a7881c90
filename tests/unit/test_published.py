"""Another experiment's results, beside its file: what is broken there is one line that names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cgm.core.errors import UserError
from cgm.report.published import COLUMNS, published

ROOT = Path(__file__).parents[2]
HEAD = ",".join(COLUMNS) + "\n"
ROW = "icons,mae,0,mae,,0.5\n"


def beside(tmp_path: Path, content: bytes) -> Path:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments/budget.yaml").write_bytes((ROOT / "experiments/budget.yaml").read_bytes())
    (tmp_path / "experiments/budget.csv").write_bytes(content)
    return tmp_path


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_values_are_read(tmp_path: Path, mark: bytes) -> None:
    found = published("budget", beside(tmp_path, mark + (HEAD + ROW).encode()))
    assert found is not None
    assert found.values == {("icons", "mae", "mae", ""): {0: 0.5}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found the columns \\(none\\), expected dataset"),
        (bytes(range(256)), "found no CSV"),
        ((HEAD + "\xe9").encode("latin-1"), "found no CSV"),
        ((HEAD + "a" * 200_000).encode(), "found no CSV"),
        (b"a,b\n1,2\n", "found the columns a, b, expected dataset"),
        ((HEAD + "icons,mae,0\n").encode(), "line 2: found more or fewer cells than columns, expected 6"),
        ((HEAD + "icons,mae,0,mae,,0.5,7\n").encode(), "line 2: found more or fewer cells"),
        ((HEAD + "icons,mae,x,mae,,0.5\n").encode(), "line 2: invalid literal"),
        ((HEAD + "icons,mae,0,mae,,nan\n").encode(), "line 2: value: found nan, expected a finite number"),
        ((HEAD + "icons,mae,0,mae,,1e300\n").encode(), "line 2: value: found 1e"),
        ((HEAD + ROW + ROW).encode(), "line 3: icons, mae, mae, seed 0 is there twice"),
    ],
)
def test_a_broken_file_is_named_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=rf"budget\.csv: {message}.*; restore it, or run the experiment budget") as error:
        published("budget", beside(tmp_path, content))
    assert "\n" not in str(error.value)


def test_a_broken_experiment_is_named_too(tmp_path: Path) -> None:
    root = beside(tmp_path, (HEAD + ROW).encode())
    (root / "experiments/budget.yaml").write_text("seeds: [0\n")
    with pytest.raises(UserError, match=r"budget\.yaml: not valid YAML"):
        published("budget", root)
