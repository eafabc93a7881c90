"""The screenshots of docs/mlflow.md, taken of a project's own store in headless Chromium.

    python docs/mlflow_pictures.py FOLDER           # a project with results, whose `make ui` isn't running; writes docs/mlflow/*.png
    python docs/mlflow_pictures.py FOLDER table     # one of them

Chromium is found as ``$CHROMIUM`` or by its usual names (Debian: ``apt-get install chromium``). The server is the project's own, on a port
of its own, and ends with the script. For ``follow`` a training is started in the project, of a method whose results it moves aside, and
ended again.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Run  # noqa: E402

from cgm.experiment import paths  # noqa: E402
from cgm.experiment.params import Params  # noqa: E402
from cgm.experiment.params import Run as Training  # noqa: E402
from cgm.experiment.reading import load_params  # noqa: E402
from pipeline.tracking.record import LEVEL, METHOD, NAME, SEED, STATE  # noqa: E402
from pipeline.tracking.view import address  # noqa: E402

OUT = ROOT / "docs/mlflow"
WIDTH, HEIGHT, TALL = 1280, 800, 1200
COLOURS = 256
CORNER, TALLER = 8, 240
"""Where a chart's corner is held, and how far it is drawn down, in pixels."""
SECONDS = 240.0
"""How long a page or a training may take."""
DISCRIMINATOR, DIVERSITY = "accuracy/D", "val/vendi_ratio"
SEEN = {"mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true", "mlflow.assistant.panelOpen_v1": "false"}
"""What MLflow keeps in the browser: its assistant opens by itself the first time."""
TRAINING = "workflowType=machine_learning"
"""Else MLflow shows its pages for generative AI."""
SETTLED = """() => !document.querySelector('[aria-busy="true"], .ant-skeleton, [class*="skeleton" i], [class*="Spinner" i]')"""


@dataclass(frozen=True)
class Scene:
    """What a picture is taken of: the store that the project's server shows, and the browser's page."""

    params: Params
    server: str
    experiment: str
    runs: dict[str, Run]
    """Those that count, by name."""
    page: Any

    def open(self, place: str, wanted: str) -> None:
        """A page of MLflow's, once it shows the text ``wanted`` and nothing turns any more."""
        self.page.goto(f"{self.server}/#/{place}" if not place.startswith("http") else place)
        self.page.get_by_text(wanted).first.wait_for(timeout=SECONDS * 1000)
        self.page.wait_for_function(SETTLED, timeout=SECONDS * 1000)
        self.page.wait_for_timeout(2500)  # charts draw themselves after their data are there
        for notice in self.page.get_by_role("button", name="Hide banner").all():
            notice.click()

    def seeds(self, method: str, dataset: str) -> list[Run]:
        return [self.runs[name] for name in sorted(self.runs) if name.startswith(f"{dataset}/{method}/")]

    @property
    def dataset(self) -> str:
        """The first of ``params.yaml`` that has results."""
        return next(name for name in self.params.datasets if any(run.data.tags["dataset"] == name for run in self.runs.values()))

    @property
    def last(self) -> Training:
        return Training(dataset=self.dataset, method=self.adversarial, seed=self.params.seeds[-1])

    @property
    def adversarial(self) -> str:
        """A method of that dataset with a discriminator, Pix2Pix if it is there."""
        with_d = [
            run.data.tags["method"]
            for run in self.runs.values()
            if run.data.tags["dataset"] == self.dataset and run.data.tags[LEVEL] == SEED and DISCRIMINATOR in run.data.metrics
        ]
        return "pix2pix" if "pix2pix" in with_d else with_d[0]


def table(scene: Scene) -> None:
    """The first screen: a row for each dataset × method, one unfolded to its seeds."""
    scene.open(address(scene.server, scene.experiment), scene.dataset)
    search = scene.page.get_by_role("textbox").or_(scene.page.get_by_role("combobox")).first
    search.fill(f"tags.{STATE} = 'current' AND tags.dataset = '{scene.dataset}'")
    search.press("Enter")
    scene.page.wait_for_timeout(4000)
    _unfold(scene, f"{scene.dataset}/{scene.adversarial}")


def _unfold(scene: Scene, parent: str) -> None:
    """The seeds below it."""
    name = scene.page.get_by_text(parent, exact=True)
    scene.page.get_by_role("gridcell").filter(has=name).get_by_role("button").first.click()
    scene.page.wait_for_timeout(2000)


def compare(scene: Scene) -> None:
    """Methods beside each other: the parents' means as bars."""
    _charts(scene, f"tags.{LEVEL} = '{METHOD}' AND tags.{STATE} = 'current' AND tags.dataset = '{scene.dataset}'", "mean/(kid|pd|lpips)$")


def collapse(scene: Scene) -> None:
    """Diversity of the outputs on validation images beside D's accuracy: the seeds of the method where it ends lowest."""
    least = min((run for run in scene.runs.values() if DIVERSITY in run.data.metrics), key=lambda run: run.data.metrics[DIVERSITY])
    dataset, method = least.data.tags["dataset"], least.data.tags["method"]
    chosen = f"tags.{LEVEL} = '{SEED}' AND tags.dataset = '{dataset}' AND tags.method = '{method}'"
    _charts(scene, chosen, f"{DISCRIMINATOR}|{DIVERSITY}", unfold=f"{dataset}/{method}")


def _charts(scene: Scene, chosen: str, metrics: str, unfold: str | None = None) -> None:
    search = f"experiments/{scene.experiment}/runs?{TRAINING}&compareRunsMode=CHART&searchFilter={quote(chosen)}"
    scene.open(search, unfold or scene.dataset)
    if unfold:
        scene.page.set_viewport_size({"width": WIDTH, "height": TALL})
        _unfold(scene, unfold)
    scene.page.get_by_placeholder("Search metric charts").fill(metrics)
    scene.page.wait_for_timeout(4000)


def model(scene: Scene) -> None:
    """A registered model: its versions, and which is best."""
    scene.page.set_viewport_size({"width": WIDTH, "height": TALL})
    scene.open(f"models/{quote(f'{scene.dataset}-{scene.adversarial}')}?{TRAINING}", "validation.kid")


def run(scene: Scene) -> None:
    """A run's page: its description with the command that makes it again, its dataset, its model."""
    found = scene.seeds(scene.adversarial, scene.dataset)[0]
    scene.open(f"experiments/{scene.experiment}/runs/{found.info.run_id}?{TRAINING}", "Show more")
    scene.page.get_by_text("Show more").first.click()
    scene.page.get_by_role("button").first.click()  # the menu at the left goes: the command leaves no room for the column at the right
    scene.page.wait_for_timeout(1000)


def follow(scene: Scene) -> None:
    """A training that goes on, seconds after it began: its losses, and its grids by images seen. Its run is gone afterwards."""
    scene.page.set_viewport_size({"width": WIDTH, "height": TALL})
    with training_going_on(scene.last) as name:
        run_id = _wait_for(lambda: _running(scene, name), "the training's second validation in MLflow")
        _curves(scene, run_id)
        scene.page.get_by_placeholder("Search metric charts").fill("^G/")
        scene.page.wait_for_timeout(3000)
        scene.page.get_by_role("slider").last.press("ArrowRight")
        scene.page.wait_for_timeout(3000)
    MlflowClient(scene.server).delete_run(run_id)


def grids(scene: Scene) -> None:
    """The end of a finished run's metrics: its validation images after the last step, below how they were judged."""
    scene.page.set_viewport_size({"width": WIDTH, "height": TALL})
    run_id = scene.seeds(scene.adversarial, scene.dataset)[0].info.run_id
    _curves(scene, run_id)
    scene.page.get_by_placeholder("Search metric charts").fill(f"val/pd|{DIVERSITY}")
    scene.page.wait_for_timeout(3000)
    card = scene.page.locator(".react-resizable").last  # its parameters leave little of it to the images
    card.scroll_into_view_if_needed()
    box = card.bounding_box()
    right, bottom = box["x"] + box["width"] - CORNER, box["y"] + box["height"] - CORNER
    scene.page.mouse.move(right, bottom)
    scene.page.mouse.down()
    scene.page.mouse.move(right, bottom + TALLER, steps=10)
    scene.page.mouse.up()
    scene.page.wait_for_timeout(1000)
    for _ in MlflowClient(scene.server).get_metric_history(run_id, DIVERSITY)[1:]:
        card.get_by_role("slider").press("ArrowRight")
    scene.page.wait_for_timeout(3000)
    card.scroll_into_view_if_needed()


def _curves(scene: Scene, run_id: str) -> None:
    scene.open(f"experiments/{scene.experiment}/runs/{run_id}/model-metrics?{TRAINING}", "Model metrics")


def _running(scene: Scene, name: str) -> str | None:
    """The run of that training, once the grid of a second validation is there: with one there is no slider."""
    client = MlflowClient(scene.server)
    found = client.search_runs([scene.experiment], f"tags.`{NAME}` = '{name}' AND attributes.status = 'RUNNING'")
    if found and len([file for file in client.list_artifacts(found[0].info.run_id, "images") if file.path.endswith(".webp")]) > 1:
        return str(found[0].info.run_id)
    return None


@contextmanager
def training_going_on(training: Training) -> Iterator[str]:
    """Its name. Its results stand aside meanwhile, and come back. What else it leaves goes: the next one begins at its first step."""
    results, aside = paths.run_folder(training), Path("build") / "aside-for-a-picture"
    left = [paths.live(training), paths.checkpoint(training).parent]
    if not (results / "run.json").exists():  # an unfinished training has a checkpoint that somebody wants
        sys.exit(f"error: {results}: not there, expected a finished run; finish it, then take the pictures")
    for folder in left:
        shutil.rmtree(folder, ignore_errors=True)
    shutil.move(results, aside)
    command = [sys.executable, "-m", "pipeline.train", *(f"{key}={value}" for key, value in training.model_dump().items())]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield str(training)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        for folder in (*left, results):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.move(aside, results)


PICTURES: dict[str, Callable[[Scene], None]] = {
    "table": table,
    "compare": compare,
    "collapse": collapse,
    "model": model,
    "run": run,
    "follow": follow,
    "grids": grids,
}


def _wait_for(look: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(1)
    raise TimeoutError(f"{what}: not there after {SECONDS:.0f} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(server: str) -> bool:
    try:
        urllib.request.urlopen(f"{server}/health", timeout=5).close()
    except OSError:
        return False
    return True


def write(picture: bytes, path: Path) -> None:
    """With a palette: text stays sharp, and the file is a third."""
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def take(names: list[str]) -> None:
    """In the project's folder, which is the working directory."""
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("error: no chromium here; apt-get install chromium, or set CHROMIUM to one")
    params, port = load_params(), _free_port()
    server = f"http://127.0.0.1:{port}"
    pages = subprocess.Popen([sys.executable, "-m", "pipeline.ui", str(port)])
    try:
        _wait_for(lambda: _answers(server), "MLflow's server")
        client = MlflowClient(server)
        experiment = _wait_for(lambda: client.get_experiment_by_name(params.tracked_as), "the experiment").experiment_id
        whole = f"tags.{LEVEL} = '{METHOD}' AND attributes.status = 'FINISHED'"
        _wait_for(lambda: client.search_runs([experiment], whole), "finished runs")
        found = client.search_runs([experiment], f"tags.{STATE} = 'current'", max_results=1000)
        runs = {each.data.tags[NAME]: each for each in found}
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for name in names:
                page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
                page.add_init_script(f"Object.assign(localStorage, {json.dumps(SEEN)})")
                PICTURES[name](Scene(params, server, experiment, runs, page))
                write(page.screenshot(), OUT / f"{name}.png")
                print(f"docs/mlflow/{name}.png: {(OUT / f'{name}.png').stat().st_size} bytes", flush=True)
                page.close()
            browser.close()
    finally:
        pages.send_signal(signal.SIGTERM)
        pages.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", choices=[*PICTURES, []], metavar="NAME", help=", ".join(PICTURES))
    arguments = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    with chdir(arguments.folder):
        take(arguments.names or list(PICTURES))


if __name__ == "__main__":
    main()
