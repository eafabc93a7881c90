"""A judge whose weights may be missing: its columns are dashes with the reason, and weights that come later run what looks through them."""

from __future__ import annotations

import csv
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from project import LAST, Project, pairs_only, stages
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from cgm.core.files import read_json, sha256
from cgm.networks.fixed import FIXED

JUDGE = "inception-2015"
LOOKS = {"weights", "filters", "reference@openmoji", *stages("evaluate", of=["mae"]), *LAST}


class Offered(BaseHTTPRequestHandler):
    file: ClassVar[Path]
    page = False
    asked: ClassVar[list[str]]

    def answer(self, body: bool) -> None:
        type(self).asked.append(self.command)
        content = b"<!doctype html><p>Log in first" if self.page else self.file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def log_message(self, format: str, *args: Any) -> None:
        return


class Server:
    """Offers a file on a port of this machine, while it is on."""

    def __init__(self, file: Path) -> None:
        self.handler = type("Handler", (Offered,), {"file": file, "asked": []})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self.handler)
        self.port = self.http.server_port
        self.http.server_close()  # nobody answers there until it is on

    def on(self) -> None:
        self.http = ThreadingHTTPServer(("127.0.0.1", self.port), self.handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def off(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of Inception's shape, random ones."""
    torch.manual_seed(0)
    empty = FeatureExtractorInceptionV3.__new__(FeatureExtractorInceptionV3)
    state = random_inception(empty)
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(state, path)
    return path


def random_inception(extractor: Any) -> dict[str, torch.Tensor]:
    """The state dictionary of torch-fidelity's extractor without a file to load."""
    loaded: dict[str, torch.Tensor] = {}

    class Caught(Exception):
        pass

    def catch(self: torch.nn.Module, *arguments: Any, **options: Any) -> None:
        loaded.update({name: value.clone() for name, value in self.state_dict().items()})
        raise Caught

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", catch)
        patch.setattr(torch, "load", lambda *arguments, **options: {})
        with pytest.raises(Caught):
            extractor.__init__("made", ["2048"], feature_extractor_weights_path="nowhere")
    return loaded


@pytest.fixture
def server(file: Path) -> Iterator[Server]:
    made = Server(file)
    yield made
    made.http.server_close()


def looking(raw: dict) -> None:
    pairs_only(raw)
    raw["methods"] = {"mae": {}}
    raw["evaluation"]["judges"] = ["efficientnet-lite0", {JUDGE: "auto"}]
    raw["evaluation"] |= {"floor_splits": 1, "lpips": "alex"}


def project_with(folder: Path, server: Server, file: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Its weights are said to be published on ``server``; torch's cache is its own."""
    project = Project(folder, looking)
    record = folder / "cgm/networks/fixed/inception_2015.py"
    text = record.read_text()
    published = FIXED[JUDGE].published
    assert published is not None
    original = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/" + published.file
    assert original in text
    record.write_text(text.replace(original, f"http://127.0.0.1:{server.port}/{published.file}").replace(published.sha256, sha256(file)))
    monkeypatch.setenv("TORCH_HOME", str(folder / "torch"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("CGM_WEIGHTS", raising=False)
    return project


def column(project: Project, metric: str, judge: str) -> set[str]:
    rows = csv.DictReader(project.results.decode().splitlines())
    return {row["status"] for row in rows if row["metric"] == metric and row["judge"] == judge and row["method"] == "mae"}


@pytest.mark.slow  # three whole runs; tests/unit/test_weights.py and test_fingerprint.py have each part by itself
def test_weights_that_come_later(tmp_path: Path, server: Server, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = project_with(tmp_path / "project", server, file, monkeypatch)
    first = project.snakemake()
    assert first.code == 0, first.output[-4000:]
    assert column(project, "kid", JUDGE) == {"not_measured"}
    assert column(project, "lpips", "lpips-0.1.4-alexnet") == {"ok"}
    table = (project.folder / "reports/tables/main-openmoji.md").read_text()
    assert "| KID (×10³) ↓ |" in table
    assert f"No KID and FID: no answer from 127.0.0.1:{server.port}." in table
    before = project.results
    project.assert_agreed()

    server.handler.page = True
    server.on()
    refused = project.snakemake()  # the server answers now, though not with the file
    assert refused.executed >= {"weights"}, refused.output[-4000:]
    assert "the server gave a web page and not the file" in (project.folder / "reports/tables/main-openmoji.md").read_text()
    server.handler.page = False
    server.off()

    path = project.folder / "torch/hub/checkpoints" / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    named = FIXED[JUDGE].published
    assert named is not None
    path.with_name(named.file).write_bytes(file.read_bytes())  # by hand
    later = project.snakemake()
    assert later.code == 0, later.output[-4000:]
    assert later.executed == LOOKS
    assert column(project, "kid", JUDGE) == {"ok"}
    project.assert_agreed()
    same = [line for line in project.results.decode().splitlines() if f",{JUDGE}," not in line]
    assert same == [line for line in before.decode().splitlines() if f",{JUDGE}," not in line]
    assert read_json(project.folder / "data/weights.json")[JUDGE] == {"sha256": sha256(file)}


@pytest.mark.slow
def test_the_same_by_dvc(tmp_path: Path, server: Server, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = project_with(tmp_path / "project", server, file, monkeypatch)
    assert project.dvc("repro").code == 0
    assert column(project, "kid", JUDGE) == {"not_measured"}
    server.on()
    project.run("python", "-m", "pipeline.agreement")  # as `make repro` begins
    later = project.dvc("repro")
    assert later.executed == LOOKS, later.output[-4000:]
    assert server.handler.asked.count("GET") == 1
    assert column(project, "kid", JUDGE) == {"ok"}
    project.assert_agreed()
    server.off()


def test_by_name_it_is_an_error(tmp_path: Path, server: Server, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = project_with(tmp_path / "project", server, file, monkeypatch)
    project.change("evaluation.judges", ["efficientnet-lite0", JUDGE])
    outcome = project.run("python", "-m", "pipeline.weights")
    assert outcome.code == 2
    assert outcome.output.splitlines()[-1].startswith("error: ")
    assert "the weights file is not there; download http://127.0.0.1" in outcome.output
    assert not (project.folder / "data/weights.json").exists()
