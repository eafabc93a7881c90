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
from pipeline.tracking.files import LIVE  # noqa: E402
from pipeline.tracking.record import LEVEL, METHOD, NAME, SEED, STATE  # noqa: E402
from pipeline.tracking.view import address  # noqa: E402

OUT = ROOT / "docs/mlflow"
WIDTH, HEIGHT = 1280, 800
COLOURS = 128
SECONDS = 240.0
"""How long a page or a training may take."""
DISCRIMINATOR = "accuracy/D"
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

    def seeds(self, method: str, dataset: str) -> list[Run]:
        return [run for name, run in self.runs.items() if name.startswith(f"{dataset}/{method}/")]

    @property
    def dataset(self) -> str:
        """The one with most methods."""
        names = [name.split("/")[0] for name, run in self.runs.items() if run.data.tags[LEVEL] == METHOD]
        return max(dict.fromkeys(names), key=names.count)

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
    row = scene.page.get_by_role("row").filter(has_text=f"{scene.dataset}/{scene.adversarial}").first
    row.get_by_role("button").or_(row.locator("[class*=expander], [data-testid*=expander]")).first.click()
    scene.page.wait_for_timeout(2000)


def compare(scene: Scene) -> None:
    """Methods beside each other: the parents' means as bars."""
    _charts(scene, f"tags.{LEVEL} = '{METHOD}' AND tags.{STATE} = 'current' AND tags.dataset = '{scene.dataset}'", "mean/kid")


def collapse(scene: Scene) -> None:
    """D's accuracy beside validation metrics, for the seeds of one method."""
    seeds = f"tags.{LEVEL} = '{SEED}' AND tags.{STATE} = 'current'"
    _charts(scene, f"{seeds} AND tags.dataset = '{scene.dataset}' AND tags.method = '{scene.adversarial}'", DISCRIMINATOR)


def _charts(scene: Scene, chosen: str, wanted: str) -> None:
    search = f"experiments/{scene.experiment}/runs?workflowType=machine_learning&compareRunsMode=CHART&searchFilter={quote(chosen)}"
    scene.open(search, wanted)
    box = scene.page.get_by_placeholder("Search metric charts")
    if box.count():
        box.first.fill(wanted.partition("/")[0] if wanted.startswith("mean") else "accuracy|val/|gradient/G")
        scene.page.wait_for_timeout(3000)


def model(scene: Scene) -> None:
    """A registered model: its versions, and which is best."""
    scene.open(f"models/{quote(f'{scene.dataset}-{scene.adversarial}')}", "best")


def run(scene: Scene) -> None:
    """A run's page: its description with the command that makes it again, its dataset, its model."""
    found = scene.seeds(scene.adversarial, scene.dataset)[0]
    scene.open(f"experiments/{scene.experiment}/runs/{found.info.run_id}", "snakemake")


def follow(scene: Scene) -> None:
    """A training that goes on, seconds after it began."""
    training = Training(dataset=scene.dataset, method=scene.adversarial, seed=scene.params.seeds[-1])
    with training_going_on(training):
        run_id = _wait_for(lambda: _running(scene, str(training)), "the training in MLflow")
        scene.open(f"experiments/{scene.experiment}/runs/{run_id}/model-metrics", "G/l1")


def _running(scene: Scene, name: str) -> str | None:
    found = MlflowClient(scene.server).search_runs(
        [scene.experiment], f"tags.`{NAME}` = '{name}' AND attributes.status = 'RUNNING' AND metrics.`G/l1` > 0"
    )
    return found[0].info.run_id if found and len(found[0].data.metrics) > 3 else None


@contextmanager
def training_going_on(training: Training) -> Iterator[None]:
    """Its results stand aside meanwhile, and come back."""
    results, aside = paths.run_folder(training), Path("build") / "aside-for-a-picture"
    if results.exists():
        shutil.move(results, aside)
    command = [sys.executable, "-m", "pipeline.train", *(f"{key}={value}" for key, value in training.model_dump().items())]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        shutil.rmtree(LIVE / str(training), ignore_errors=True)
        shutil.rmtree(results, ignore_errors=True)
        if aside.exists():
            shutil.move(aside, results)


PICTURES: dict[str, Callable[[Scene], None]] = {
    "table": table,
    "compare": compare,
    "collapse": collapse,
    "model": model,
    "run": run,
    "follow": follow,
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
                page.add_init_script(f"for (const key of {json.dumps(SEEN)}) localStorage.setItem(key, 'true')")
                PICTURES[name](Scene(params, server, experiment, runs, page))
                write(page.screenshot(), OUT / f"{name}.png")
                print(f"docs/mlflow/{name}.png: {(OUT / f'{name}.png').stat().st_size} bytes", flush=True)
                page.close()
            browser.close()
    finally:
        pages.send_signal(signal.SIGTERM)
        pages.wait()


SEEN: tuple[str, ...] = ()
"""Keys of notices that MLflow shows once."""


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
