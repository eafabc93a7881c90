"""What ``snakemake --report`` shows, by output in dvc.yaml."""

from __future__ import annotations

from typing import Any

PAGES: dict[str, dict[str, Any]] = {
    "reports": {
        "caption": "docs/captions/report.rst",
        "category": "Report",
        "patterns": ["{page}.html"],
        "labels": {"page": "{page}"},
    },
    "data/prepared/{dataset}": {
        "caption": "docs/captions/prepare.rst",
        "category": "Images",
        "patterns": ["{name}.png"],
        "labels": {"dataset": "{dataset}"},
    },
    "results/{dataset}/{method}/{seed}/grid.png": {
        "caption": "docs/captions/translate.rst",
        "category": "{dataset}",
        "labels": {"method": "{method}", "seed": "{seed}"},
    },
}
"""Captions are relative to the Snakefile."""
