"""The command: ``python -m benchmarks.gpu --minutes 8 --out DIR``, and ``--page DIR`` for what came back."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from cgm.core.errors import UserError

PARTS = (("checks", 0.30), ("measurements", 0.35), ("results", 0.35))
"""Each with its share of the time; what one doesn't need the next one gets."""
RESERVE = 0.03
"""Share of the time that is left for the end: the last archive."""
AT_ONCE = {"cuda": 8, "cpu": 2}
"""Runs side by side on one device."""
EXPERIMENT = {"cuda": "params.yaml", "cpu": "smoke"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description="Check, measure and train on a GPU, in so many minutes.")
    parser.add_argument("--minutes", type=float, default=8.0, help="everything, start to end (default: %(default)g)")
    parser.add_argument("--out", type=Path, help="where everything goes: at most eight files of 16 MiB, whole at any moment")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: a rehearsal, in small (default: %(default)s)")
    parser.add_argument(
        "--experiment", help="whose runs are made: a name in experiments/, or a file (default: params.yaml; on the CPU: smoke)"
    )
    parser.add_argument("--at-once", type=int, help="runs side by side (default: 8; on the CPU: 2)")
    parser.add_argument("--parts", nargs="+", choices=[name for name, _ in PARTS], help="only these")
    parser.add_argument(
        "--page", type=Path, metavar="DIR", help="show what an earlier call left in DIR; with --write, in docs/performance.md"
    )
    parser.add_argument("--write", action="store_true", help="with --page: renew the section in docs/performance.md")
    arguments = parser.parse_args()
    try:
        if arguments.page:
            from benchmarks.gpu.page import show

            show(arguments.page, write=arguments.write)
        elif arguments.out is None:
            parser.error("--out DIR is missing: it says where everything goes")
        else:
            run(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; what is finished stays", file=sys.stderr)
        sys.exit(130)


def run(arguments: argparse.Namespace) -> None:
    from benchmarks.gpu.clock import Clock, minutes

    clock = Clock(60 * arguments.minutes)  # before torch, which takes seconds to import
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if arguments.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    if found := sorted(path.name for path in out.iterdir()):
        raise UserError(f"{out}: holds {found[0]} already; name an empty folder, or a new one")
    parts = [(name, share) for name, share in PARTS if not arguments.parts or name in arguments.parts]
    whole = sum(share for _, share in parts)
    ends, end = {}, 0.0
    for name, share in parts:
        end += share / whole * (1 - RESERVE) * clock.seconds
        ends[name] = end
    clock.say("plan", "; ".join(f"{name} until {minutes(end)} at the latest" for name, end in ends.items()), f"on {arguments.device}")

    import torch

    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch sees no CUDA device here; --device cpu rehearses everything in small")
    clock.say(
        torch.cuda.get_device_name() if arguments.device == "cuda" else "CPU: a rehearsal",
        f"torch {torch.__version__}",
        sys.version.split()[0],
    )
    experiment = arguments.experiment or EXPERIMENT[arguments.device]
    at_once = arguments.at_once or AT_ONCE[arguments.device]
    from benchmarks.gpu.checks import check
    from benchmarks.gpu.measurements import Measurements
    from benchmarks.gpu.results import Results

    failed = []
    with tempfile.TemporaryDirectory(prefix="cgm-gpu-") as folder:
        work = Path(folder)
        makers: dict[str, Callable[[float], None]] = {
            "checks": lambda until: check(clock, until, arguments.device, out, work),
            "measurements": lambda until: Measurements(clock, until, arguments.device, out, work / "images").measure(),
            "results": lambda until: Results(clock, until, experiment, at_once, out, work).make(),
        }
        for name, until in ends.items():
            try:
                makers[name](until)
            except Exception:  # a bug in one part must not cost the others their minutes
                traceback.print_exc()
                clock.say(name, "failed; its error stands above")
                failed.append(name)
    clock.say(
        "done" if not failed else f"done without {', '.join(failed)}",
        ", ".join(f"{path.name} {path.stat().st_size / 2**20:.1f} MiB" for path in sorted(out.iterdir())),
    )
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
