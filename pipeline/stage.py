"""What every stage's command line shares: ``python -m pipeline.<stage> dataset=… method=… seed=…``.

Bad input ends with one line on standard error and exit code 2, Ctrl-C with one and 130; a bug keeps its traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from cgm.config import Params, load_params
from cgm.errors import UserError


def main(stage: Callable[..., None], keys: Sequence[str] = (), argv: Sequence[str] | None = None) -> None:
    """Parse ``key=value`` arguments, load ``params.yaml``, call ``stage(params, **values)``.

    ``dataset``, ``method`` and ``seed`` are checked against ``params.yaml``; ``seed`` arrives as an int.
    """
    try:
        values = _parse(keys, sys.argv[1:] if argv is None else argv)
        params = load_params()
        stage(params, **_check(params, values))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)


def _parse(keys: Sequence[str], arguments: Sequence[str]) -> dict[str, str]:
    usage = " ".join(f"{key}=…" for key in keys) or "no arguments"
    values: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or key not in keys or key in values:
            raise UserError(f"argument {argument!r}: expected {usage}")
        values[key] = value
    if missing := [key for key in keys if key not in values]:
        raise UserError(f"argument {missing[0]}=… is missing: expected {usage}")
    return values


def _check(params: Params, values: dict[str, str]) -> dict[str, str | int]:
    checked: dict[str, str | int] = dict(values)
    if "dataset" in values and values["dataset"] not in params.all_datasets:
        raise UserError(f"dataset={values['dataset']}: not in params.yaml; expected one of {', '.join(params.all_datasets)}")
    if "method" in values:
        known = params.methods if params.is_paired(values["dataset"]) else params.unpaired.methods
        if values["method"] not in known:
            raise UserError(f"method={values['method']}: not in params.yaml for {values['dataset']}; expected one of {', '.join(known)}")
    if "seed" in values:
        if not values["seed"].isdecimal() or int(values["seed"]) not in params.seeds:
            raise UserError(f"seed={values['seed']}: not in params.yaml; expected one of {', '.join(map(str, params.seeds))}")
        checked["seed"] = int(values["seed"])
    return checked
