"""A figure's panels as Vega-Lite specifications: what the page shows where scripts run, with the values under the pointer.

Colours are the page's variables, so that a panel follows the reader's light or dark page. What all panels share (fonts, axes) stands in
``templates/page.js``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cgm.report.plotting import LIGHT, MARKERS

SYMBOLS = dict(
    zip(
        MARKERS,
        (
            "M-1,0A1,1,0,1,0,1,0A1,1,0,1,0,-1,0Z",
            "M-.88,-.88H.88V.88H-.88Z",
            "M0,-1.1L1.05,.8H-1.05Z",
            "M0,-1.2L1.2,0L0,1.2L-1.2,0Z",
            "M0,1.1L1.05,-.8H-1.05Z",
            "M-.4,-1.1H.4V-.4H1.1V.4H.4V1.1H-.4V.4H-1.1V-.4H-.4Z",
            "M0,-.5L.6,-1.1L1.1,-.6L.5,0L1.1,.6L.6,1.1L0,.5L-.6,1.1L-1.1,.6L-.5,0L-1.1,-.6L-.6,-1.1Z",
            "M-1.1,0L.8,-1.05V1.05Z",
            "M1.1,0L-.8,-1.05V1.05Z",
            "M0,-1.1L1.05,-.34L.65,.89H-.65L-1.05,-.34Z",
            "M-.55,-.95H.55L1.1,0L.55,.95H-.55L-1.1,0Z",
        ),
        strict=True,
    )
)
"""The markers of the drawn figures as SVG paths, in a square from −1 to 1."""
LINE = "M-1.4,-.18H1.4V.18H-1.4Z"
DIGITS = 5
"""Significant ones under the pointer; the figures' CSV files have all."""
FORMAT = f".{DIGITS}~g"
MUTED = "var(--muted)"
Curve = Sequence[tuple[float, float, float, float, int]]
"""Across; median, lowest, highest; n."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """What stands for one series in every panel of a figure."""

    label: str
    colour: str
    symbol: str = SYMBOLS["o"]
    method: str = ""
    """The method that it shows, for the page's filter; empty where it shows none alone."""
    hollow: bool = False


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One panel. ``spec``: without ``$schema``, ``width`` and ``config``, which the page adds."""

    title: str
    spec: Mapping[str, Any]
    keys: tuple[Key, ...]
    method: str = ""
    """The method, where the whole panel shows one."""
    wide: bool = field(default=False, kw_only=True)
    """Whether it takes the page's width."""


def key(label: str, place: int, method: str = "") -> Key:
    """``place``: of the colour and marker, as in the drawn figures."""
    return Key(label=label, colour=colour(place), symbol=SYMBOLS[MARKERS[place % len(MARKERS)]], method=method)


def colour(place: int) -> str:
    return f"var(--series-{place % len(LIGHT.palette)})"


def curves(
    title: str,
    across: str,
    found: Iterable[tuple[Key, Curve]],
    *,
    middle: str = "median",
    ends: tuple[str, str] = ("lowest", "highest"),
    log: bool = False,
    log_across: bool = False,
    rules: Iterable[tuple[Key, float]] = (),
    bars: bool = False,
    method: str = "",
    wide: bool = False,
) -> Chart:
    """Lines with a band, or bars, from the lowest to the highest; ``rules``: levels across the panel."""
    found, rules = list(found), list(rules)
    keys = tuple(each for each, _ in [*found, *rules])
    x = _axis("x", across, {"type": "log"} if log_across else {"zero": False, "nice": False})
    if log_across:
        x["axis"] = {"values": sorted({point[0] for _, curve in found for point in curve}), "format": ",~r"}
    scale = {"type": "log"} if log else {"zero": False}
    y = _axis("middle", "", scale)
    tooltip = [
        {"field": "s", "title": "series"},
        _value("x", across),
        _value("middle", middle),
        _value("low", ends[0]),
        _value("high", ends[1]),
        _value("n", "n"),
    ]
    spread: dict[str, Any] = {
        "mark": {"type": "rule", "strokeWidth": 1.2} if bars else {"type": "area", "opacity": 0.16},
        "encoding": {"y": _axis("low", "", scale), "y2": {"field": "high"}},
    }
    shape = _series([each for each, _ in found])["shape"]
    layers: list[dict[str, Any]] = [
        spread,
        {"mark": {"type": "line", "strokeWidth": 1.6}, "encoding": {"y": y}},
        {"mark": {"type": "point", "filled": True, "opacity": 1, "size": 26}, "encoding": {"y": y, "shape": shape}},
        _target({"y": y}, tooltip),
    ]
    rows = [(each.label, *_rounded(point[:4]), point[4]) for each, curve in found for point in curve]
    spec = {
        **_data(("s", "x", "low", "middle", "high", "n"), [(s, x, low, mid, high, n) for s, x, mid, low, high, n in rows], text=1),
        "height": 230,
        "encoding": {"x": x, "color": _series([each for each, _ in found])["color"]},
        "layer": [*layers, *(_rule(each, level) for each, level in rules)],
    }
    return Chart(title=title, spec=spec, keys=keys, method=method, wide=wide)


def scatter(
    title: str,
    axes: tuple[str, str],
    found: Iterable[tuple[Key, Sequence[tuple[str, float, float]]]],
    *,
    lines: Iterable[tuple[Key, Sequence[tuple[float, float]]]] = (),
    marks: Iterable[tuple[Key, float, float]] = (),
    band: tuple[Key, float, float] | None = None,
    linear_below: float = 1.0,
) -> Chart:
    """Points and their means; ``lines`` join means, ``marks`` are points that belong to no method, ``band``: two levels of the second axis.

    The second axis is logarithmic above ``linear_below``, and linear below it.
    """
    found, lines, marks = list(found), list(lines), list(marks)
    rows: list[tuple[object, ...]] = []
    for each, points in found:
        rows += [(each.label, "seed", name, *_rounded((x, y))) for name, x, y in points]
        count = len(points)
        rows.append((each.label, "mean", f"mean of {count}", *_rounded((_mean([x for _, x, _ in points]), _mean([y for *_, y in points])))))
    rows += [(each.label, "mark", "", *_rounded((x, y))) for each, x, y in marks]
    drawn = [each for each, _ in found] + [each for each, *_ in marks]
    highest = max([float(str(row[4])) for row in rows], default=1.0)
    lowest = min([float(str(row[4])) for row in rows] + ([band[1]] if band else []), default=0.0)
    y = _axis(
        "y", axes[1], {"type": "symlog", "constant": linear_below, "nice": False, "domainMin": min(lowest, 0.0), "domainMax": 1.3 * highest}
    )
    y["axis"] = {"values": _ticks(highest), "tickCount": len(_ticks(highest)), "format": ",~r"}
    tooltip = [{"field": "s", "title": "series"}, {"field": "what", "title": "seed"}, _value("x", axes[0]), _value("y", axes[1])]
    of = "datum.kind == '{}'".format
    layers: list[dict[str, Any]] = []
    if band is not None:
        layers.append(
            {
                "data": {"values": [{"low": band[1], "high": band[2]}]},
                "mark": {"type": "rect", "color": band[0].colour, "opacity": 0.2},
                "encoding": {"y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}},
            }
        )
    for line, joined in lines:
        layers.append(
            {
                "data": {"values": [{"x": x, "y": y, "order": place} for place, (x, y) in enumerate(joined)]},
                "mark": {"type": "line", "color": line.colour, "strokeWidth": 1.2},
                "encoding": {
                    "x": {"field": "x", "type": "quantitative"},
                    "y": {"field": "y", "type": "quantitative"},
                    "order": {"field": "order", "type": "quantitative"},
                },
            }
        )
    places = {"x": _axis("x", axes[0], {"zero": True}), "y": y}
    series = _series(drawn)
    layers += [
        {
            "transform": [{"filter": of("seed")}],
            "mark": {"type": "point", "filled": True, "size": 28, "opacity": 0.55, "strokeWidth": 0},
            "encoding": {**places, **series},
        },
        {
            "transform": [{"filter": of("mark")}],
            "mark": {"type": "point", "filled": False, "size": 80, "strokeWidth": 1.5},
            "encoding": {**places, **series},
        },
        {
            "transform": [{"filter": of("mean")}],
            "mark": {"type": "point", "filled": True, "size": 150, "opacity": 1, "stroke": "var(--ground)", "strokeWidth": 1},
            "encoding": {**places, **series},
        },
        _target({**places, "color": series["color"]}, tooltip),
    ]
    spec = {**_data(("s", "kind", "what", "x", "y"), rows, text=3), "height": 430, "layer": layers}
    keys = (*drawn, *(each for each, _ in lines), *([band[0]] if band else []))
    return Chart(title=title, spec=spec, keys=keys, wide=True)


def _data(header: tuple[str, ...], rows: Sequence[Sequence[object]], text: int) -> dict[str, Any]:
    """The rows between tabs, the shortest form; the first ``text`` columns are words. The page's filter sets ``shown``."""
    lines = ["\t".join(" ".join(str(cell).split()) for cell in row) for row in (header, *rows)]
    return {
        "data": {
            "values": "\n".join(lines),
            "format": {"type": "tsv", "parse": {**dict.fromkeys(header[:text], "string"), **dict.fromkeys(header[text:], "number")}},
        },
        "params": [{"name": "shown", "value": None}],
        "transform": [{"filter": "shown == null || indexof(shown, datum.s) >= 0"}],
    }


def _target(encoding: dict[str, Any], tooltip: list[dict[str, Any]]) -> dict[str, Any]:
    """An invisible disc around each point, for the pointer to meet: it then lights up and shows the point's values. (Vega-Lite's own search
    for the nearest point loses the words of a tooltip.)"""
    return {
        "params": [{"name": "met", "select": {"type": "point", "on": "pointerover", "clear": "pointerout"}}],
        "mark": {"type": "circle", "size": 240},
        "encoding": {**encoding, "tooltip": tooltip, "opacity": {"condition": {"param": "met", "empty": False, "value": 0.4}, "value": 0}},
    }


def _rule(each: Key, level: float) -> dict[str, Any]:
    return {
        "data": {"values": [{"level": level}]},
        "mark": {"type": "rule", "strokeDash": [5, 3], "color": each.colour, "tooltip": f"{each.label}: {level:.{DIGITS}g}"},
        "encoding": {"y": {"field": "level", "type": "quantitative"}, "x": None, "color": None},
    }


def _series(keys: Sequence[Key]) -> dict[str, Any]:
    labels = [each.label for each in keys]
    return {
        name: {"field": "s", "type": "nominal", "scale": {"domain": labels, "range": shown}, "legend": None}
        for name, shown in (("color", [each.colour for each in keys]), ("shape", [each.symbol for each in keys]))
    }


def _axis(name: str, title: str, scale: dict[str, Any]) -> dict[str, Any]:
    return {"field": name, "type": "quantitative", "title": title or None, "scale": scale}


def _value(name: str, title: str) -> dict[str, Any]:
    return {"field": name, "title": title, "type": "quantitative", "format": FORMAT}


def _ticks(highest: float) -> list[float]:
    """0, 1, 2, 5, 10, … up to ``highest``: what a symmetric logarithm wants to be read by."""
    found, step = [0.0], 1.0
    while step <= highest:
        found += [times * step for times in (1, 2, 5) if times * step <= highest * 1.2]
        step *= 10
    return found if len(found) < 8 else [0.0, *(value for value in found if value >= 10 or value == 5.0)]


def _rounded(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(f"{value:.{DIGITS}g}") for value in values)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
