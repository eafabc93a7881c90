"""``cgm new-method`` and ``cgm check-method``: a method of the user's own, begun and looked at. Its contract is docs/methods.md."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from cgm.core import own
from cgm.core.errors import UserError
from cgm.core.files import write_text
from cgm.core.lazy import nn, torch
from cgm.experiment.reading import NAME, parse_params, read_yaml
from cgm.methods import METHODS
from pipeline import params_text

FOLDER = Path("my_methods")
TEMPLATE = '''"""NAME: L1, and L1 of the differences between neighbouring pixels.

    G* = arg min_G  E‖y − G(x)‖₁ + λ E‖∇y − ∇G(x)‖₁
"""

from cgm.core.registry import About, Part
from cgm.core.settings import NonNegative
from cgm.methods.method import Method, TranslatorSettings


class CLASS(Method):
    """ŷ = G(x), fitted to y in its pixels and its edges."""

    # What the report says of it; may be left out.
    about = About(
        title="NAME",
        objective=(Part(text="E‖y − G(x)‖₁"), Part(text="E‖∇y − ∇G(x)‖₁", weight="gradient_weight", symbol="λ")),
    )

    class Settings(TranslatorSettings):  # generator and learning_rate are there already
        gradient_weight: NonNegative = 1.0

    def build(self, networks):
        self.player("G", G=networks.generator(self.settings.generator))

    def step(self, batch, update):
        """batch.x and batch.y: N×3×H×W in [-1, 1]. update("G", terms) takes one optimiser step on the sum of the terms."""
        y_hat = self.generator(batch.x, batch.noise)
        terms = {"l1": (y_hat - batch.y).abs().mean()}
        for dim in (2, 3):
            difference = y_hat.diff(dim=dim) - batch.y.diff(dim=dim)
            terms[f"gradient_{dim}"] = self.settings.gradient_weight * difference.abs().mean()
        update("G", terms)
        return {}
'''


def new(params_path: Path, name: str, *, add: bool) -> None:
    """Write ``my_methods/NAME.py``, a method that runs as it is, and say which entry ``params.yaml`` needs; with ``add`` enter it.

    A file that is there already stays as it is, and is entered. Raises :class:`UserError`, and writes nothing, where the name can't be
    used or is taken.
    """
    if not NAME.fullmatch(name) or not name.isidentifier():
        raise UserError(f"{name}: names become modules and folders; use lower-case letters, digits and '_', a letter first")
    if name in list(METHODS):
        raise UserError(f"{name}: is the name of one of the project's methods; choose another")
    path = FOLDER / f"{name}.py"
    title = "".join(part.capitalize() for part in name.split("_"))
    place = f"{path.as_posix()}:{title}"
    if written := path.exists():
        if not add:
            raise UserError(f"{path}: is there already; `cgm new-method {name} --add` enters it into {params_path}, or choose another name")
        own.load(place)
    if add:
        raw = read_yaml(params_path, remedy="run the command in the folder that holds params.yaml")
        if name in (parse_params(raw, name=str(params_path), complete=False).methods):
            raise UserError(f"{params_path}: methods.{name}: is there already; choose another name")
        text = params_text.with_entry(params_path, params_text.read(params_path), ("methods",), name, {"implementation": place})
    if not written:
        write_text(path, TEMPLATE.replace("NAME", name).replace("CLASS", title))
    if add:
        parse_params(YAML(typ="safe").load(text), name=str(params_path), complete=False)
        params_text.rewrite(params_path, text)
    print(f"{path}: {'as it was' if written else 'written'}; change it, then run: cgm check-method {place}")
    print(f'{params_path}: methods.{name} {"added" if add else "needs this entry"}: {name}: {{implementation: "{place}"}}')


def check(place: str, settings: dict[str, Any]) -> bool:
    """Print a line for each check of a method, or of a generator (with ``mae``); whether all of them pass.

    Raises :class:`UserError` for what isn't there at all, or wrong settings.
    """
    if own.is_place(place) and inspect.isclass(found := own.load(place)) and issubclass(found, nn.Module):
        settings, place = {"generator": place, **settings}, "mae"
    if not own.is_place(place) and place not in METHODS and (known := _implementation(place)):
        raise UserError(f"{place}: is an entry of params.yaml, expected what it is an entry of; run cgm check-method {known}")
    needs_pairs = METHODS[place].needs_pairs
    from cgm.training.conformance import CHECKS, fault
    from cgm.training.subject import Subject

    torch.set_num_threads(1)  # more have nothing to share in networks this small, and wait for each other where others compute
    good = True
    for paired in (True,) if needs_pairs else (True, False):
        subject = Subject(place, paired, settings)
        print(f"{place} on {'pairs' if paired else 'two domains without pairs'}, 32 px, small networks, CPU")
        before = None
        for name, test in CHECKS.items():
            wrong = fault(test, subject)
            line = (inspect.getdoc(test) or "").partition("\n\n")[0] if wrong is None else "the same" if wrong == before else wrong
            print(f"{'✓' if wrong is None else '✗'} {name:<11} {' '.join(line.replace('``', '').split())}", flush=True)
            good, before = good and wrong is None, wrong
            if wrong and name in ("build", "step"):
                print("  The other checks need this one.")
                break
    return good


def _implementation(entry: str) -> str | None:
    """What a method's entry in ``params.yaml`` is one of; None where there is no such entry, or no such file."""
    path = Path("params.yaml")
    raw = read_yaml(path, remedy="") if path.is_file() else None
    groups = [raw, raw.get("unpaired")] if isinstance(raw, dict) else []
    listed = [group["methods"] for group in groups if isinstance(group, dict) and isinstance(group.get("methods"), dict)]
    found: dict[str, Any] = next((methods[entry] for methods in listed if isinstance(methods.get(entry), dict)), {})
    return str(found["implementation"]) if "implementation" in found else None
