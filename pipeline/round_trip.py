"""Stage ``round_trip``: a trained pair of generators and the test conditions → ``round_trip.npz`` (:mod:`cgm.evaluation.round_trip`).

Of a run whose method has no way back, or whose weights are not here, the file says so and holds nothing else.
"""

from __future__ import annotations

from cgm.core import seeds
from cgm.data.prepared import open_prepared
from cgm.evaluation import round_trip
from cgm.evaluation.round_trip import RoundTrip
from cgm.experiment import paths
from cgm.experiment.params import Params, Run
from cgm.methods import METHODS, left_weights, models
from cgm.methods.method import Elsewhere
from cgm.methods.way_back import way_back
from cgm.training.device import pick_device
from pipeline.stage_command import main


def run(params: Params, dataset: str, method: str, seed: int) -> None:
    this = Run(dataset=dataset, method=method, seed=seed)
    made(params, this).save(paths.round_trip(this))


def made(params: Params, run: Run) -> RoundTrip:
    settings, path = params.method(run.dataset, run.method), paths.run_folder(run) / "model.safetensors"
    if issubclass(METHODS[settings.implementation], Elsewhere):
        return round_trip.none("made elsewhere")
    data = params.all_datasets[run.dataset]
    method = models.build(settings, params.networks, data.height_width, params.is_paired(run.dataset), data.channels)
    back = way_back(method)
    if back is None:
        return round_trip.none("no way back")
    if path.is_file() and left_weights.left(path) is not None:
        return round_trip.none("the weights stayed where the run was trained")
    device = pick_device(params.compute)
    models.read_weights(method, path, str(run), device)
    for network in method.players["G"].values():
        network.eval()
    prepared = open_prepared(paths.prepared(run.dataset))
    own = seeds.torch_generator(run.dataset, run.method, run.seed, "round trip, networks", device)
    return round_trip.round_trip(
        lambda x: method.translate(x, own),
        lambda y: back(y, own if method.stochastic else None),
        prepared.images("test", "A"),
        prepared.images("test", "B"),
        round_trip.shown_of(prepared.ids("test", "A")),
        seeds.torch_generator(run.dataset, run.method, run.seed, "round trip, noise", device),
        batch=models.BATCH,
        device=device,
    )


if __name__ == "__main__":
    main(run, keys=("dataset", "method", "seed"))
