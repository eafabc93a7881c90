"""``page.js``: the libraries behind tables and charts, and the page's own script, in one file that a page opened from a disk can load.

DataTables (with jQuery) comes out of the package ``itables``; Vega, Vega-Lite and Vega-Embed out of ``vl-convert-python``. The lock holds
both by their hashes.
"""

from __future__ import annotations

import importlib.resources
import re
from functools import cache
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
EXPORTS = re.compile(r"export\s*\{([^}]*)\};?")


@cache
def script() -> bytes:
    """The same packages give the same bytes."""
    import vl_convert  # 90 MB: only where a report is made

    tables = _as_classic(importlib.resources.files("itables").joinpath("html/dt_bundle.js").read_text(encoding="utf-8"))
    charts = vl_convert.javascript_bundle(None)  # type: ignore[arg-type]  # None is its default: Vega, Vega-Lite and Vega-Embed
    notice = (TEMPLATES / "vega-licence.txt").read_text(encoding="utf-8")
    parts = (
        f"/*!\n{notice.strip()}\n*/",
        f"(function () {{\n{charts}\n}})();",
        tables,
        (TEMPLATES / "page.js").read_text(encoding="utf-8"),
    )
    return "\n".join(parts).encode()


def _as_classic(module: str) -> str:
    """A module as a script that sets ``window.DataTable``: a page that was opened from a disk may not import one."""
    found = EXPORTS.findall(module)
    names = {new: old for old, _, new in (name.strip().partition(" as ") for name in found[-1].split(","))} if len(found) == 1 else {}
    if "default" not in names:
        raise RuntimeError(f"itables: dt_bundle.js: found {len(found)} lists of exports {sorted(names)}, expected one with 'default'")
    return f"(function () {{\n{EXPORTS.sub('', module)}\nwindow.DataTable = {names['default']};\n}})();"
