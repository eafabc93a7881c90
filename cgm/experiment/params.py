"""The whole of ``params.yaml`` as one frozen model. :mod:`cgm.experiment.reading` makes it from the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from cgm.core.settings import Model
from cgm.data.sources.source import Dataset
from cgm.experiment.settings import Compute, Evaluation, Tracking, Training
from cgm.methods.method import MethodSettings, TrainedSettings
from cgm.networks.settings import Networks


class Unpaired(Model):
    datasets: dict[str, Dataset] = Field(default={})
    methods: dict[str, MethodSettings] = Field(default={})


class Run(Model):
    """dataset × method × seed."""

    dataset: str
    method: str
    seed: int

    def __str__(self) -> str:
        return f"{self.dataset}/{self.method}/{self.seed}"


class Params(Model):
    """The experiment: everything that may change a result."""

    experiment: str
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    compute: Compute = Compute()
    training: Training = Training()
    networks: Networks = Networks()
    evaluation: Evaluation = Evaluation()
    tracking: Tracking = Tracking()
    weights: str | None = None
    """A folder with weights files, for machines without a network; files are known by their hashes, so it changes no result."""
    datasets: dict[str, Dataset] = Field(default={})
    """Paired datasets; every entry of ``methods`` trains on every one of them."""
    methods: dict[str, MethodSettings] = Field(default={})
    unpaired: Unpaired = Unpaired()
    """Unpaired datasets, and the methods that train on every one of them."""

    @property
    def tracked_as(self) -> str:
        """The name of MLflow's experiment: each experiment of ``experiments/`` has one of its own."""
        return f"{self.tracking.experiment}-{self.experiment}"

    @property
    def all_datasets(self) -> dict[str, Dataset]:
        return {**self.datasets, **self.unpaired.datasets}

    def is_paired(self, dataset: str) -> bool:
        return dataset in self.datasets

    def methods_of(self, dataset: str) -> dict[str, MethodSettings]:
        """The methods that train on ``dataset``, by entry."""
        return self.methods if self.is_paired(dataset) else self.unpaired.methods

    def method(self, dataset: str, method: str) -> MethodSettings:
        """The settings of ``method`` on ``dataset`` (an entry may differ between the paired and the unpaired group)."""
        return self.methods_of(dataset)[method]

    def networks_of(self, dataset: str, method: str) -> Networks:
        """The sizes that ``method`` trains with on ``dataset``: its own, else those of all."""
        return self.networks.merged(self._own(dataset, method, "networks"))

    def budget(self, dataset: str, method: str) -> float:
        """Thousands of images that the generator of a run sees: the method's own number, else the dataset's."""
        return float(self._own(dataset, method, "kimg") or self.all_datasets[dataset].kimg)

    def batch_size(self, dataset: str, method: str) -> int:
        """Images a step, likewise."""
        return int(self._own(dataset, method, "batch_size") or self.training.batch_size)

    def _own(self, dataset: str, method: str, name: str) -> Any:
        """What a method that is trained says in place of what all have."""
        settings = self.method(dataset, method)
        return getattr(settings, name) if isinstance(settings, TrainedSettings) else None

    def runs(self) -> Iterator[Run]:
        """Every run of the experiment, in the order of the file."""
        for dataset in self.all_datasets:
            for method in self.methods_of(dataset):
                for seed in self.seeds:
                    yield Run(dataset=dataset, method=method, seed=seed)
