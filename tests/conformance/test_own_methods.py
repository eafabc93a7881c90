"""``cgm check-method`` passes what is right, and finds each of six planted faults."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cgm.experiment.reading import load_params
from cgm.training.conformance import CHECKS, fault
from cgm.training.subject import Subject
from pipeline import cli, own_method

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in ("my_methods", "faulty")]:
        del sys.modules[name]


RIGHT = """
import torch

from cgm.methods.losses import ADVERSARIAL
from cgm.methods.method import Method, TranslatorSettings, frozen


class Right(Method):
    Settings = TranslatorSettings

    def build(self, networks):
        self.adversarial, self.steps = ADVERSARIAL["lsgan"](), 0
        self.player("G", G=networks.generator(self.settings.generator))
        self.player("D", D=networks.patchgan())

    def step(self, batch, update):
        D, self.steps = self.players["D"]["D"], self.steps + 1
        x = batch.x
        y_hat = self.generator(x, batch.noise)
        with frozen(D):
            judged = D(y_hat)
            l1 = (y_hat - batch.y).abs().mean()
            update("G", {"adversarial": self.adversarial.generator(judged), "l1": 10 * l1})
        update("D", {"real": self.adversarial.real(D(batch.y)), "fake": self.adversarial.fake(D(y_hat.detach()))})
        return {}
"""
FAULTS = {
    "detached loss": (
        "            judged = D(y_hat)\n            l1 = (y_hat -",
        "            judged = D(y_hat.detach())\n            l1 = (y_hat.detach() -",
        "gradients",
        "no gradient of the loss reaches G; look for .detach()",
    ),
    "wrong player": ('update("G", {"adv', 'update("D", {"adv', "gradients", "a loss that depends on G alone; hand it to update('G'"),
    "shared gradients": ("fake(D(y_hat.detach()))", "fake(D(y_hat))", "gradients", "the loss of D gives gradients to G too"),
    "global stream": ("x = batch.x\n", "x = batch.x + torch.rand_like(batch.x)\n", "randomness", "step draws from the global stream"),
    "wrong shape": (
        "    def step(",
        "    def translate(self, x, noise):\n        return self.generator(x, noise)[:, :, 1:, 1:]\n\n    def step(",
        "output",
        "translate gave shape (4, 3, 31, 31) for conditions of (4, 3, 32, 32)",
    ),
    "in place": ("x = batch.x\n", "x = batch.x.mul_(0.5)\n", "inputs", "step changes batch.x in place"),
    "not finite at step 50": ("l1 = (", "l1 = (float('nan') if self.steps == 50 else 1) * (", "finite", "is not finite at step 49"),
    "state that no checkpoint holds": ("10 * l1", "(10 + self.steps) * l1", "resume", "was killed at step 7 and went on ends otherwise"),
    "chance without a seed": ("x = batch.x\n", "x = batch.x + torch.rand(1, generator=CHANCE)\n", "repetition", "of the same seed differ"),
    "loss that grows": ("10 * l1", "-10 * l1", "learning", "took the distance of the outputs' mean colour"),
    "out of range": (
        "    def step(",
        "    def translate(self, x, noise):\n        return 9 * (self.generator(x, noise) + 1)\n\n    def step(",
        "output",
        "expected -1 to 1, so end the generator in Tanh",
    ),
    "an exception": ('return {}', 'return {}["loss"]', "step", "faulty/one.py:26: in step: KeyError: 'loss'"),
}  # fmt: skip


def subject(folder: Path, text: str) -> Subject:
    (folder / "faulty").mkdir()
    (folder / "faulty/one.py").write_text(text.replace("import torch\n", "import torch\nCHANCE = torch.Generator()\n"), encoding="utf-8")
    return Subject("faulty/one.py:Right")


def test_a_right_method_passes(folder: Path) -> None:
    made = subject(folder, RIGHT)
    assert {name: fault(check, made) for name, check in CHECKS.items()} == dict.fromkeys(CHECKS)


@pytest.mark.parametrize("planted", FAULTS)
def test_a_planted_fault_is_found(planted: str, folder: Path) -> None:
    old, new, check, message = FAULTS[planted]
    assert old in RIGHT
    found = fault(CHECKS[check], subject(folder, RIGHT.replace(old, new)))
    assert found is not None
    assert message in found
    assert "\n" not in found


def test_the_template_runs_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = yaml.safe_load((ROOT / "experiments/smoke.yaml").read_text(encoding="utf-8"))
    (folder / "params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    cli.main(["new-method", "edge_loss", "--add"])
    text = (folder / "my_methods/edge_loss.py").read_text(encoding="utf-8")
    assert text.count("\n") <= 40
    assert load_params().methods["edge_loss"].gradient_weight == 1.0
    cli.main(["check-method", "my_methods/edge_loss.py:EdgeLoss", "--set", "gradient_weight=2"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[3:]] == [["✓", name] for name in CHECKS]


def fails(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == code
    return "".join(capsys.readouterr())


def test_new_method_overwrites_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["new-method", "edge_loss"])
    assert 'needs this entry: edge_loss: {implementation: "my_methods/edge_loss.py:EdgeLoss"}' in capsys.readouterr().out
    assert "my_methods/edge_loss.py: is there already" in fails(capsys, 2, "new-method", "edge_loss")
    assert "use lower-case letters, digits and '_'" in fails(capsys, 2, "new-method", "edge-loss")
    assert "is the name of one of the project's methods" in fails(capsys, 2, "new-method", "mae")
    assert "params.yaml: not found" in fails(capsys, 2, "new-method", "other", "--add")
    assert not (folder / "my_methods/other.py").exists()


def test_a_file_that_is_there_is_entered_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "params.yaml").write_text((ROOT / "experiments/smoke.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    cli.main(["new-method", "edge_loss"])
    mine = (folder / "my_methods/edge_loss.py").read_text(encoding="utf-8").replace("= 1.0", "= 7.0")
    (folder / "my_methods/edge_loss.py").write_text(mine, encoding="utf-8")
    assert "`cgm new-method edge_loss --add` enters it" in fails(capsys, 2, "new-method", "edge_loss")
    cli.main(["new-method", "edge_loss", "--add"])
    assert (folder / "my_methods/edge_loss.py").read_text(encoding="utf-8") == mine
    assert load_params().methods["edge_loss"].gradient_weight == 7.0
    assert "run cgm check-method my_methods/edge_loss.py:EdgeLoss" in fails(capsys, 2, "check-method", "edge_loss")


@pytest.mark.parametrize(("given", "said"), [("y_hat.mean()", "is given Tensor"), ("{}", "is given no term")])
def test_terms_that_are_no_dictionary(given: str, said: str, folder: Path) -> None:
    wrong = RIGHT.replace('{"adversarial": self.adversarial.generator(judged), "l1": 10 * l1}', given)
    assert f"update('G', …) {said}, expected a dictionary of scalars" in str(fault(CHECKS["step"], subject(folder, wrong)))


def test_check_method_ends_with_1_where_it_finds_a_fault(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "faulty").mkdir()
    broken = own_method.TEMPLATE.replace("NAME", "one").replace("CLASS", "Broken").replace('self.player("G", G', 'self.player("H", G')
    (folder / "faulty/two.py").write_text(broken, encoding="utf-8")
    assert "✗ build       build made no network G of a player G" in fails(capsys, 1, "check-method", "faulty/two.py:Broken")
    assert "unknown key; did you mean 'gradient_weight'?" in fails(capsys, 2, "check-method", "faulty/two.py:Broken", "--set", "gradient=1")
    assert "method 'pix2pics': unknown; did you mean 'pix2pix'?" in fails(capsys, 2, "check-method", "pix2pics")


def test_a_network_is_checked_with_mae(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "faulty").mkdir()
    (folder / "faulty/net.py").write_text(NET, encoding="utf-8")
    cli.main(["check-method", "faulty/net.py:Net", "--set", "sizes={width: 16}"])
    assert "✗" in fails(capsys, 1, "check-method", "faulty/net.py:Loud")


NET = """
from torch import nn


class Net(nn.Module):
    def __init__(self, image_size, width=8, channels=3):
        super().__init__()
        sides = [channels, width, width, channels]
        layers = [part for pair in zip(sides[:-1], sides[1:]) for part in (nn.Conv2d(*pair, 5, padding=2), nn.ReLU())]
        self.layers = nn.Sequential(*layers[:-1], nn.Tanh())

    def forward(self, x, noise=None):
        return self.layers(x)


class Loud(Net):
    def forward(self, x, noise=None):
        return 4 * super().forward(x) + 2
"""
