"""Stage ``reference``: what a dataset's outputs are compared with, and what its floors and baselines score.

``python -m pipeline.reference dataset=…`` reads ``data/prepared/<dataset>/``, ``data/raw/<dataset>/listing.csv`` (which pictures belong
together) and ``data/weights.json``. It writes to ``data/reference/<dataset>/``: ``<judge>.npz`` for each judge that can be had, and
``scores.json``.
"""

from __future__ import annotations

from functools import partial

import torch

from cgm.core.files import replacing, write_json
from cgm.data.listing import read_listing
from cgm.data.prepared import open_prepared
from cgm.evaluation import competence
from cgm.evaluation.baselines import reference_rows
from cgm.evaluation.evaluate import Another
from cgm.evaluation.judges import Judge, device_name, device_of, load_judge, missing
from cgm.evaluation.reference import Reference, Stored, build_reference
from cgm.experiment import paths
from cgm.experiment.params import Params
from pipeline.stage_command import main


def run(params: Params, dataset: str) -> None:
    torch.set_num_threads(params.compute.threads)
    config, reasons = params.evaluation, missing()
    prepared = open_prepared(paths.prepared(dataset))
    judge = load_judge(config.judge, device_of(config))
    group_of = {picture.id: picture.group for picture in read_listing(paths.raw(dataset)) if picture.split == "test"}
    alike = [group_of.get(identity) or identity for identity in prepared.ids("test", "A")]
    label = f"reference {dataset}"
    with replacing(paths.reference(dataset)) as folder:
        folder.mkdir()

        def stored(judge: Judge) -> Stored:
            path = folder / f"{judge.name}.npz"
            build_reference(prepared, config, judge, alike, label=label).save(path)
            return partial(Reference.load, path)

        reference, others = stored(judge), []
        for name in (each.name for each in config.others):
            if name in reasons:
                others.append(Another(name=name, reason=reasons[name]))
            else:
                other = load_judge(name, device_of(config))
                others.append(Another(name=name, judge=other, reference=stored(other)))
        rows = reference_rows(prepared, reference, config, judge, others, label=label)
        write_json(
            folder / "scores.json",
            {
                "dataset": dataset,
                "device": device_name(config),
                "judge": {"name": judge.name, "sha256": judge.sha256},
                "others": [{"name": other.name, "sha256": other.judge.sha256 if other.judge else None} for other in others],
                "rows": rows,
                "validation": competence.untrained(prepared, reference(), judge),
            },
        )


if __name__ == "__main__":
    main(run, keys=("dataset",))
