"""Brings the store into line with the files: what is new or changed is written, what was before is kept and set apart; repeated, it
writes nothing."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mlflow.entities import Run as MlflowRun
from mlflow.entities import ViewType

from cgm.experiment.params import Params
from pipeline.tracking.files import FinishedRun, LiveRun, RunOnDisk
from pipeline.tracking.group import Groups
from pipeline.tracking.record import (
    CURRENT,
    DIGEST,
    EARLIER,
    LEVEL,
    METHOD,
    NAME,
    NOTE,
    PARENT,
    PROJECT,
    SEED,
    STATE,
    SUCCESSOR,
    SUPERSEDED,
    UNLISTED,
)
from pipeline.tracking.store import Store
from pipeline.tracking.view import open_experiment
from pipeline.tracking.writing import Writer

EARLIER_NAME = "earlier runs"
EARLIER_NOTE = "Runs that others have superseded, and runs that params.yaml no longer lists. Unfold this row to see them."


@dataclass
class Outcome:
    """``runs``: ids in the store, by ``dataset/method/seed`` and ``dataset/method``; ``written``: names of those that were sent."""

    experiment: str
    runs: dict[str, str] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)


class Reconciler:
    """Of one folder and one store; what it learned about running trainings it keeps for the next time."""

    def __init__(self, store: Store, params: Params, root: Path = Path()) -> None:
        self.store, self.params, self.root = store, params, root
        self.experiment = open_experiment(store, params)
        self.runs: dict[str, str] = {}
        self.writer = Writer(store, self.experiment, params, root)

    def bring(self, finished: Sequence[FinishedRun], live: Sequence[LiveRun], anew: bool = False) -> Outcome:
        """``anew``: write every run again, whatever the store holds."""
        self.writer.begin()
        held = self._held()
        outcome = Outcome(self.experiment)
        complete: dict[str, list[MlflowRun]] = {}
        incomplete: dict[str, list[MlflowRun]] = {}
        for run in held:
            (complete if DIGEST in run.data.tags else incomplete).setdefault(run.data.tags[NAME], []).append(run)
        before = {run.info.run_id for runs in complete.values() for run in runs} if anew else set()
        self._parents(finished, live, complete, incomplete, outcome, before)
        seeds: dict[str, list[tuple[FinishedRun, str, Mapping[str, str]]]] = {name: [] for name in self.parents}
        for item in finished:
            name, parent = str(item.run), outcome.runs[item.group]
            same = [run for run in complete.get(name, []) if run.data.tags[DIGEST] == item.digest and run.info.run_id not in before]
            if same:
                self.writer.restate(same[0], {STATE: CURRENT, PARENT: parent})
                for begun in incomplete.pop(name, []):  # trained anew, and ended before it replaced these results
                    self.writer.give_up(begun.info.run_id)
                outcome.runs[name], tags = same[0].info.run_id, same[0].data.tags
                if self.writer.lineage.lacks(item, tags):
                    tags = {**tags, **self.writer.link(item, same[0])}
                    outcome.written.append(name)
            else:
                known = incomplete.get(name, [])
                outcome.runs[name], tags = self.writer.finished(item, parent, known[0].info.run_id if known else None)
                outcome.written.append(name)
            seeds[item.group].append((item, outcome.runs[name], tags))
        for one in live:
            known = incomplete.get(str(one.run), [])
            outcome.runs[str(one.run)] = self.writer.follow(one, outcome.runs[one.group], known[0] if known else None)
        for name, run in self.parents.items():
            if new := self.writer.lineage.register(name, run.data.tags, seeds[name]):
                self.writer.tag(run.info.run_id, new)
        self._groups(finished, live, outcome)
        self._set_apart(complete, {str(item.run) for item in finished}, outcome)
        there: list[RunOnDisk] = [*finished, *live]
        self._end(incomplete, {str(item.run) for item in there})
        self.runs = outcome.runs
        return outcome

    def follow(self, live: Sequence[LiveRun]) -> None:
        """What trainings have written since; the rest is as :meth:`bring` left it. It asks the store of nothing else."""
        for one in live:
            name = str(one.run)
            self.runs[name] = self.writer.follow(one, self.runs[one.group], self.store.client.get_run(self.runs[name]))

    def _held(self) -> list[MlflowRun]:
        """Our runs. On a store that others write to as well, only this folder's."""
        mine = f" AND tags.`{PROJECT}` = '{self.store.project}'" if self.store.project else ""
        runs: list[MlflowRun] = []
        token = None
        while True:
            with _uncollected():
                page = self.store.client.search_runs(
                    [self.experiment], f"tags.`{NAME}` LIKE '%'{mine}", ViewType.ACTIVE_ONLY, max_results=1000, page_token=token
                )
            runs.extend(page)
            token = page.token
            if not token:
                return runs

    def _parents(
        self,
        finished: Iterable[FinishedRun],
        live: Iterable[LiveRun],
        complete: Mapping[str, list[MlflowRun]],
        incomplete: Mapping[str, list[MlflowRun]],
        outcome: Outcome,
        before: set[str],
    ) -> None:
        """Each dataset × method has one, from its first seed on; it stays the same run, whatever becomes of its seeds."""
        self.parents: dict[str, MlflowRun] = {}
        both: list[RunOnDisk] = [*finished, *live]
        for item in both:
            name = item.group
            if name not in self.parents:
                known = [
                    run
                    for run in (*complete.get(name, []), *incomplete.get(name, []))
                    if run.info.run_id not in before and run.data.tags.get(LEVEL) == METHOD
                ]
                tags = {LEVEL: METHOD, "dataset": item.run.dataset, "method": item.run.method, "experiment": self.params.experiment}
                self.parents[name] = known[0] if known else self.writer.create(name, tags, item.began)
                outcome.runs[name] = self.parents[name].info.run_id

    def _groups(self, finished: Sequence[FinishedRun], live: Sequence[LiveRun], outcome: Outcome) -> None:
        groups = Groups(self.params, self.root)
        by_dataset: dict[str, list[FinishedRun]] = {}
        for item in finished:
            by_dataset.setdefault(item.run.dataset, []).append(item)
        going = {item.group for item in live if item.alive}
        for name, run in self.parents.items():
            items = [item for item in finished if item.group == name]
            digest = groups.digest(name, by_dataset.get(name.split("/")[0], []), name in going)
            if not items:
                status = "RUNNING" if name in going else "KILLED"
                if run.info.status != status:
                    self.store.client.update_run(run.info.run_id, status)
                self.writer.restate(run, {STATE: CURRENT})
            elif run.data.tags.get(DIGEST) != digest:
                group = groups.of(name)
                well = group.metrics["seeds_ok"] > 0
                end = None if name in going else max(item.ended for item in items)
                self.writer.group(run, group, digest, end=end, well=well)
                outcome.written.append(name)
            else:
                self.writer.restate(run, {STATE: CURRENT})

    def _set_apart(self, complete: dict[str, list[MlflowRun]], finished: set[str], outcome: Outcome) -> None:
        """What others have superseded and what is no longer listed stands below one row, the last."""
        listed = {str(run) for run in self.params.runs()}
        listed |= {name.rpartition("/")[0] for name in listed}
        for name, runs in list(complete.items()):
            for run in runs:
                tags = run.data.tags
                if run.info.run_id == outcome.runs.get(name) or tags.get(LEVEL) == EARLIER:
                    continue
                if name not in listed:
                    self.writer.restate(run, {STATE: UNLISTED, PARENT: self._earlier(complete, run)})
                elif name in outcome.runs and (name in finished or tags.get(LEVEL) != SEED):
                    successor = outcome.runs[name]
                    self.writer.restate(run, {STATE: SUPERSEDED, SUCCESSOR: successor, PARENT: self._earlier(complete, run)})

    def _earlier(self, complete: dict[str, list[MlflowRun]], first: MlflowRun) -> str:
        known = complete.get(EARLIER_NAME, [])
        if not known:
            start = first.info.start_time - 24 * 3600 * 1000  # older than what it holds, and so the last row
            run = self.writer.create(EARLIER_NAME, {LEVEL: EARLIER, STATE: SUPERSEDED, NOTE: EARLIER_NOTE, DIGEST: EARLIER_NAME}, start)
            self.store.client.set_terminated(run.info.run_id, "FINISHED", end_time=start)
            known = [run]
            complete[EARLIER_NAME] = known
        return str(known[0].info.run_id)

    def _end(self, incomplete: Mapping[str, list[MlflowRun]], there: set[str]) -> None:
        """Trainings of which nothing is left, and second copies of one: killed."""
        for name, runs in incomplete.items():
            for run in runs[1 if name in there or name in self.parents else 0 :]:
                if run.info.status == "RUNNING":
                    self.store.client.set_terminated(run.info.run_id, "KILLED")


@contextmanager
def _uncollected() -> Iterator[None]:
    """While runs are read: a thousand are a million objects that all stay; to search them for garbage takes two thirds of the time."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
