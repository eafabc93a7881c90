"""What came back from a GPU, as a section of ``docs/performance.md``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.gpu.measurements import CAPTURED, PLAIN, REFERENCE, code
from benchmarks.page import PAGE, ROOT, Lines, commit, number, renew_section, table
from benchmarks.training_job import UNPAIRED, measured_params
from cgm.core.errors import UserError
from cgm.core.files import read_json

Cell = tuple[str, str, int, int]
"""Method, dataset, image size in px, batch."""


def show(folder: Path, *, write: bool) -> None:
    """Print the section, or renew it in the page. Raises :class:`UserError` where it was measured with other code than this checkout's."""
    text = section(folder)
    if write:
        renew_section("gpu", text, ROOT / PAGE)
    else:
        print(text)


def section(folder: Path) -> str:
    checks, measured = folder / "checks.json", folder / "measurements.json"
    if not measured.exists():
        raise UserError(f"{measured}: not found; name the folder that python -m benchmarks.gpu --out wrote, with its measurements")
    record = read_json(measured)
    here = code(measured_params())
    if changed := sorted(name for name in record["code"] if record["code"][name] != here.get(name)):
        raise UserError(f"{measured}: measured with other training code than this checkout's ({', '.join(changed)}); check out that commit")
    gpu = record["gpu"] or "no GPU: a rehearsal, whose figures mean nothing"
    head = (
        f"## On a GPU\n\n{gpu}; {record['machine']}; Python {record['python']}, torch {record['torch']}; {record['date']}, "
        f"commit {commit()}.\nMeasured by `python -m benchmarks.gpu --minutes {record['minutes']:g} --out DIR`, written by "
        "`python -m benchmarks.gpu --page DIR --write`."
    )
    parts = [head, *_checks(read_json(checks)["tests"] if checks.exists() else []), *_speed(record["found"]), *_several(record["found"])]
    return "\n\n".join(parts)


def _checks(tests: list[dict[str, Any]]) -> Iterator[str]:
    yield "### Checks beside the CPU"
    if not tests:
        yield "None was made."
        return
    by_name: dict[str, list[str]] = defaultdict(list)
    for test in tests:
        by_name[test["test"].partition("::")[2].partition("[")[0]].append(test["outcome"])
    rows = [
        [f"`{name}`", *(str(outcomes.count(outcome)) for outcome in ("passed", "failed", "skipped"))] for name, outcomes in by_name.items()
    ]
    yield table(["check", "passed", "failed", "skipped"], rows)


def _speed(found: list[dict[str, Any]]) -> Iterator[str]:
    cells: dict[Cell, dict[str, dict[str, Any]]] = defaultdict(dict)
    work: dict[tuple[str, int], float] = {}
    peak: dict[str, float] = {}
    for one in found:
        asked, answer = one["asked"], one["found"]
        if "error" in answer:
            continue
        if one["kind"] == "peak":
            peak = answer
        elif one["kind"] == "work":
            work[asked["method"], asked["size"]] = answer["flops"] / answer["images"]
        elif one["kind"] == "step":
            way = REFERENCE if asked["side"] == REFERENCE else CAPTURED if asked["captured"] else PLAIN
            cells[asked["method"], asked["dataset"], asked["size"], asked["batch"]][way] = answer
    lines: Lines = []
    for (method, dataset, size, batch), ways in sorted(cells.items(), key=lambda item: (item[0][1], item[0][0], *item[0][2:])):
        best = max(
            (ways[way] for way in (PLAIN, CAPTURED) if way in ways), key=lambda answer: float(answer["images_per_second"]), default=None
        )
        rates = [number(ways[way]["images_per_second"]) if way in ways else "" for way in (REFERENCE, PLAIN, CAPTURED)]
        ratio = f"{best['images_per_second'] / ways[REFERENCE]['images_per_second']:.1f}×" if best and REFERENCE in ways else ""
        over = [
            f"{ways[way]['seconds_per_step'] / ways[way]['kernels']:.2f}" if "kernels" in ways.get(way, {}) else ""
            for way in (PLAIN, CAPTURED)
        ]
        share = ""
        if best and (method, size) in work and best["precision"] in peak:
            share = f"{100 * work[method, size] * best['images_per_second'] / peak[best['precision']]:.1f}%"
        memory = f"{best['peak_mib']:.0f}" if best else ""
        name = f"`{method}`" + (", unpaired" if dataset == UNPAIRED else "")
        lines.append([name, f"{size} px", str(batch), *rates, ratio, *over, share, memory])
    yield "### Training"
    yield (
        "Images/s end to end, one run alone; losses read as often as the experiment has them. Reference: what the public PyTorch\n"
        "implementation does (float32 with TF32 convolutions, PNG files through loader processes). Plain: our step. Captured: the same\n"
        "step replayed as a CUDA graph. Step ÷ kernels: a step's time by what the GPU's kernels and copies take of it; at 1 the GPU\n"
        "never waits. Share: of the best product of two large matrices in the same precision. Ratio, share and memory: the faster way's."
    )
    head = ["method", "images", "batch", REFERENCE, PLAIN, CAPTURED, "ours ÷ reference", "plain step ÷ kernels", "captured step ÷ kernels"]
    yield table([*head, "share of peak", "peak MiB"], lines)


def _several(found: list[dict[str, Any]]) -> Iterator[str]:
    lines: Lines = []
    for one in found:
        asked, answer = one["asked"], one["found"]
        if one["kind"] == "together" and "error" not in answer:
            way = f"{CAPTURED if asked['captured'] else PLAIN}{', MPS' if asked['mps'] else ''}"
            lines.append([f"`{asked['method']}`", way, str(asked["count"]), number(answer["images_per_second"])])
    if lines:
        yield "### Several runs on one GPU\n\nImages/s of all together, each a process of its own."
        yield table(["method", "way", "runs at once", "images/s"], lines)
    for one in found:
        if one["kind"] == "judge" and "error" not in one["found"]:
            rate, size = number(one["found"]["images_per_second"]), one["asked"]["size"]
            yield f"### Evaluation\n\n`{one['asked']['name']}` takes features and perceptual embeddings of {rate} images/s of {size} px."
    if errors := [one for one in found if "error" in one["found"]]:
        yield "### What could not be measured"
        yield "\n".join(
            f"- {one['kind']} {one['asked'].get('method', '')} {one['asked'].get('size', '')}: {one['found']['error']}" for one in errors
        )
