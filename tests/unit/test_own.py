"""Methods and generators of the user's own, named by their places: what is accepted, what is refused, what a fingerprint follows."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cgm.core import own
from cgm.core.errors import UserError
from cgm.experiment.params import Params
from cgm.experiment.reading import parse_params
from cgm.methods import METHODS
from cgm.networks import GENERATORS
from pipeline.code import CACHE, Code, training_code

ROOT = Path(__file__).parents[2]
FOCAL = '''"""A loss of one's own."""

from __future__ import annotations

from my_losses.parts import distance
from cgm.core.settings import NonNegative
from cgm.methods.method import Method, TranslatorSettings


class Focal(Method):
    """Distances, weighed."""

    class Settings(TranslatorSettings):
        alpha: NonNegative = 1.0

    def build(self, networks):
        self.player("G", G=networks.generator(self.settings.generator))

    def step(self, batch, update):
        update("G", {"focal": self.settings.alpha * distance(self.generator(batch.x, batch.noise), batch.y)})
        return {}


class Unset(Method):
    build = step = None


class NoStep(Focal):
    step = Method.step


class Words(Focal):
    about = "a loss"


class Loose(Focal):
    Settings = dict


class Undefined(Focal):
    class Settings(TranslatorSettings):
        beta: Nowhere = 1


LIMIT = 3
'''
PARTS = "SCALE = 2.0\n\n\ndef distance(a, b):\n    return SCALE * (a - b).abs().mean()\n\n\ndef unused(a):\n    return a\n"
NETS = """import torch
from torch import nn

WIDTH = 8


class Tiny(nn.Module):
    def __init__(self, image_size, width=WIDTH, channels=3):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(channels, width, 3, 1, 1), nn.ReLU(), nn.Conv2d(width, channels, 3, 1, 1), nn.Tanh())

    def forward(self, x, noise=None):
        return self.layers(x)


class Demanding(Tiny):
    def __init__(self, image_size, depth, channels=3):
        super().__init__(image_size, channels=channels)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project's folder as working directory. Modules that were imported from it are forgotten."""
    files = {"my_losses/focal.py": FOCAL, "my_losses/parts.py": PARTS, "my_losses/beside.py": "ONE = 1\n", "my_nets.py": NETS}
    for name, text in files.items():
        write(tmp_path, name, text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)) or name in ("my_losses", "my_nets"):
            del sys.modules[name]


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def params(**method: Any) -> Params:
    data = {"source": "openmoji", "image_size": 32, "kimg": 0.048, "limit": 12}
    return parse_params({"experiment": "x", "seeds": [0], "datasets": {"small": data}, "methods": {"mine": method, "mae": {}}})


PLACE = "my_losses/focal.py:Focal"


def test_a_place_is_a_method_like_any_other(folder: Path) -> None:
    settings = params(implementation=PLACE, alpha=2.0).methods["mine"]
    assert settings.alpha == 2.0
    found = METHODS[PLACE]
    assert (found.__module__, found.cost, found.needs_pairs) == ("my_losses.focal", 1.0, True)
    assert (found.about.title, found.about.protocol, found.about.objective) == ("Focal", "Distances, weighed.", ())
    assert METHODS["my_losses.focal:Focal"] is METHODS["./my_losses/focal.py:Focal"] is found
    assert METHODS.place(PLACE) == "my_losses.focal:Focal"
    assert PLACE not in list(METHODS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alhpa": 1.0}, "params.yaml: methods.mine.alhpa: unknown key; did you mean 'alpha'?"),
        ({"alpha": -1.0}, "params.yaml: methods.mine.alpha: found -1.0; input should be greater than or equal to 0"),
        ({"generator": "unett"}, "methods.mine.generator: unknown generator 'unett'; did you mean 'unet'?"),
        (
            {"generator": "my_nets.py:Tinny"},
            "methods.mine.generator: found 'my_nets.py:Tinny'; my_nets.py: has no class 'Tinny'; did you mean 'Tiny'?",
        ),
        ({"generator": PLACE}, "my_losses/focal.py:Focal: found class Focal, expected a class derived from torch.nn"),
        ({"generator": "my_nets.py:Tiny", "sizes": {"widht": 4}}, "methods.mine.sizes: unknown key 'widht'; did you mean 'width'?"),
        (
            {"generator": "my_nets.py:Demanding"},
            "methods.mine.sizes: class Demanding: missing a required argument: 'depth'; it is called as",
        ),
        ({"sizes": {"width": 4}}, "methods.mine.sizes: found {'width': 4}, but 'unet' has its sizes in networks.unet; set them there"),
    ],
)
def test_its_settings_are_checked(folder: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        params(implementation=PLACE, **settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def outside(folder: Path) -> None:
    (folder / "my_losses/link.py").symlink_to(ROOT / "cgm/methods/mae.py")


@pytest.mark.parametrize(
    ("place", "message", "prepare"),
    [
        ("my_losses/focal.py", "found 'my_losses/focal.py', expected a file and a class in it, such as", None),
        ("my_losses/focal.py:", "found 'my_losses/focal.py:', expected a file and a class", None),
        ("my_losses/focal.py:Fokal", "my_losses/focal.py: has no class 'Fokal'; did you mean 'Focal'?", None),
        ("my_losses/parts.py:Focal", "my_losses/parts.py: has no class 'Focal'; it defines none", None),
        ("my_losses/focl.py:Focal", "my_losses/focl.py: not found; did you mean 'my_losses/focal.py'?", None),
        ("nowhere/focal.py:Focal", "nowhere/focal.py: not found; nowhere/ holds no Python file", None),
        ("my_losses/focal:Focal", "my_losses/focal: expected a file that ends in .py", None),
        ("my-losses/focal.py:Focal", "has to be letters, digits and '_'; rename it", None),
        ("my_losses/class.py:Focal", "so 'class' has to be letters", None),
        ("../focal.py:Focal", "../focal.py: expected a path below the folder that holds params.yaml, and relative to it", None),
        ("/focal.py:Focal", "/focal.py: expected a path below the folder that holds params.yaml", None),
        ("my_losses/link.py:MAE", "my_losses/link.py: is a link that leaves the folder", outside),
        ("torch/x.py:X", "torch/x.py: an installed package is called 'torch' too", {"torch/x.py": "class X: ...\n"}),
        ("json/x.py:X", "json/x.py: an installed package is called 'json' too", {"json/x.py": "class X: ...\n"}),
        ("my_losses/bad.py:X", "my_losses/bad.py:2: SyntaxError: invalid syntax", {"my_losses/bad.py": "import torch\nclass X(:\n"}),
        (
            "my_losses/bad.py:X",
            "my_losses/bad.py:1: ModuleNotFoundError: No module named 'nowhere'",
            {"my_losses/bad.py": "import nowhere\n"},
        ),
        ("my_losses/bad.py:X", "my_losses/bad.py:2: in f: KeyError: 1", {"my_losses/bad.py": "def f():\n    return {}[1]\n\n\nf()\n"}),
        ("my_losses/focal.py:LIMIT", "my_losses/focal.py:LIMIT: found a value of type int, expected a class derived from Method", None),
        ("my_nets.py:Tiny", "my_nets.py:Tiny: found class Tiny, expected a class derived from Method, from cgm.methods.method", None),
        ("my_losses/focal.py:NoStep", "my_losses/focal.py:NoStep: has no step; expected both", None),
        ("my_losses/focal.py:Unset", "my_losses/focal.py:Unset: has no Settings; expected Settings = TranslatorSettings", None),
        ("my_losses/focal.py:Words", "my_losses/focal.py:Words: has an about that is a str; expected about = About(title=…)", None),
        ("my_losses/focal.py:Loose", "my_losses/focal.py:Loose: has Settings that are none; expected Settings = ", None),
        ("my_losses/focal.py:Undefined", "my_losses/focal.py:Undefined: has Settings that can't be read (name 'Nowhere'", None),
        ("no_such_package.losses:Focal", "no_such_package.losses: there is no module 'no_such_package'; expected", None),
        ("pydantic.nowhere:Focal", "pydantic.nowhere: there is no module 'pydantic.nowhere'; expected", None),
        ("my-package:Focal", "found 'my-package:Focal', expected a file and a class in it", None),
        ("cgm.methods.method:Method", "cgm.methods.method:Method: has no build and no step; expected both", None),
    ],
)
def test_what_can_not_be_used_is_one_line(folder: Path, place: str, message: str, prepare: Any) -> None:
    if callable(prepare):
        prepare(folder)
    for name, text in (prepare if isinstance(prepare, dict) else {}).items():
        write(folder, name, text)
    with pytest.raises(UserError) as caught:
        params(implementation=place)
    assert str(caught.value).startswith("params.yaml: methods.mine.implementation: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_in_a_validator_of_the_users_is_one_line(folder: Path) -> None:
    text = FOCAL.replace("        alpha: NonNegative = 1.0\n", VALIDATOR).replace("        beta: Nowhere = 1\n", "        pass\n")
    write(folder, "my_losses/focal.py", text.replace("from my_losses", "from pydantic import field_validator\nfrom my_losses"))
    with pytest.raises(UserError, match=r"my_losses/focal\.py:\d+: in twice: ZeroDivisionError: "):
        params(implementation=PLACE, alpha=0.0)


VALIDATOR = """        alpha: NonNegative = 1.0

        @field_validator("alpha")
        @classmethod
        def twice(cls, value):
            return 1 / value
"""


def test_the_line_of_the_users_own_is_named(folder: Path) -> None:
    with pytest.raises(UserError, match=r"^my_losses/parts\.py:5: in distance: TypeError: .* \(CGM_TRACEBACK=1 before the command shows"):
        failing()


def test_the_whole_traceback_can_be_had(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(own.TRACEBACK, "1")
    with pytest.raises(TypeError):
        failing()


def test_an_error_of_ours_keeps_its_traceback(folder: Path) -> None:
    with pytest.raises(ValueError, match="invalid literal"), own.errors_told():
        int("one")


def failing() -> None:
    METHODS[PLACE]
    with own.errors_told():
        sys.modules["my_losses.parts"].distance(None, 1)


def test_no_torch_where_none_is_listed() -> None:
    code = "import sys; from cgm.experiment.reading import load_params; load_params(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.fixture(scope="module")
def taken_apart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is found in the project's own files, once for all."""
    place = tmp_path_factory.mktemp("code")
    for package in ("cgm", "pipeline"):
        (place / package).symlink_to(ROOT / package)
    code = Code(place)
    code.fingerprint("pipeline.train", ["cgm.methods.mae:MAE", "cgm.networks.unet:UNet"])
    code.save()
    return place / CACHE


@pytest.fixture
def checkout(folder: Path, taken_apart: Path) -> Path:
    """``folder`` with the project's packages."""
    for package in ("cgm", "pipeline"):
        (folder / package).symlink_to(ROOT / package)
    (folder / CACHE).parent.mkdir()
    shutil.copy(taken_apart, folder / CACHE)
    return folder


def codes(folder: Path, **method: Any) -> dict[str, str]:
    experiment = params(implementation=PLACE, **method)
    return {run.method: training_code(experiment, run, Code()) for run in experiment.runs()}  # as the stages do, in the working directory


def replaced(file: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        text = (folder / file).read_text(encoding="utf-8")
        assert old in text
        write(folder, file, text.replace(old, new))

    return edit


@pytest.mark.parametrize(
    ("edit", "changed"),
    [
        (replaced("my_losses/focal.py", "self.settings.alpha * d", "2 * self.settings.alpha * d"), True),
        (replaced("my_losses/focal.py", "alpha: NonNegative = 1.0", "alpha: NonNegative = 2.0"), True),
        (replaced("my_losses/parts.py", "SCALE = 2.0", "SCALE = 3.0"), True),
        (replaced("my_losses/parts.py", "return a\n", "return 2 * a\n"), False),
        (replaced("my_losses/focal.py", "        return {}", "        return {}  # nothing else"), False),
        (replaced("my_losses/focal.py", "Distances, weighed.", "Other words."), False),
        (replaced("my_losses/focal.py", "LIMIT = 3", "LIMIT = 4"), False),
        (replaced("my_losses/beside.py", "ONE = 1", "ONE = 2"), False),
        (replaced("my_nets.py", "WIDTH = 8", "WIDTH = 9"), False),
    ],
)
def test_its_fingerprint_follows_what_it_uses(checkout: Path, edit: Callable[[Path], None], changed: bool) -> None:
    before = codes(checkout)
    edit(checkout)
    after = codes(checkout)
    assert (after["mine"] != before["mine"]) == changed
    assert after["mae"] == before["mae"]


@pytest.mark.parametrize(
    "imports",
    [
        "import my_losses.parts\n\ndistance = lambda a, b: my_losses.parts.distance(a, b)\n",
        "from my_losses import parts\n\ndistance = lambda a, b: parts.distance(a, b)\n",
        "from . import parts as these\n\ndistance = lambda a, b: these.distance(a, b)\n",
        "from .parts import distance\n",
        "from my_losses.parts import *\n",
    ],
)
def test_every_form_of_import_is_followed(checkout: Path, imports: str) -> None:
    write(checkout, "my_losses/focal.py", FOCAL.replace("from my_losses.parts import distance\n", imports))
    before = codes(checkout)
    replaced("my_losses/parts.py", "SCALE = 2.0", "SCALE = 3.0")(checkout)
    after = codes(checkout)
    assert after["mine"] != before["mine"]
    assert after["mae"] == before["mae"]


def test_a_generator_of_the_users_is_followed(checkout: Path) -> None:
    before = codes(checkout, generator="my_nets.py:Tiny")
    assert before["mine"] != codes(checkout)["mine"]
    replaced("my_nets.py", "WIDTH = 8", "WIDTH = 9")(checkout)
    assert codes(checkout, generator="my_nets.py:Tiny")["mine"] != before["mine"]
    assert GENERATORS.place("my_nets.py:Tiny") == "my_nets:Tiny"


def test_of_an_installed_class_the_file_and_the_version_count(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    site = tmp_path_factory.mktemp("site")
    write(site, "focal_losses/__init__.py", "")
    write(site, "focal_losses/focal.py", FOCAL.replace("my_losses.parts", "focal_losses.parts"))
    write(site, "focal_losses/parts.py", PARTS)
    sys.path.append(str(site))
    found = set()
    for version in ("1.0", "1.1"):
        write(site, "focal_losses-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: focal-losses\nVersion: {version}\n")
        write(site, "focal_losses-1.0.dist-info/RECORD", "focal_losses/__init__.py,,\n")
        experiment = params(implementation="focal_losses.focal:Focal")
        run = next(iter(experiment.runs()))
        found.add(training_code(experiment, run, Code(checkout)))
    replaced("focal_losses/focal.py", "return {}", "return {}  # as it was")(site)
    found.add(training_code(experiment, run, Code(checkout)))
    assert len(found) == 3
    for name in [name for name in sys.modules if name.startswith("focal_losses")]:
        del sys.modules[name]
