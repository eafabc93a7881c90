"""The experiment as MLflow first shows it: a table of training runs with columns chosen, and earlier runs out of sight."""

from __future__ import annotations

import json
from urllib.parse import quote

from mlflow.exceptions import MlflowException

from cgm.core.errors import UserError
from cgm.experiment.params import Params
from pipeline.tracking.record import NOTE
from pipeline.tracking.store import OWN, Store

KIND = "mlflow.experimentKind"
TRAINING = "custom_model_development"
"""Without it MLflow 3 opens an experiment as one of generative AI, with its traces, of which there are none."""
VIEW = "cgm"
"""Key of the shared view: ``…/runs?viewStateShareKey=cgm``. MLflow 3.17 goes by the address (``workflowType``) before the tag."""
NOW = "tags.state = 'current'"
COLUMNS = (
    *("metrics.`mean/kid`", "metrics.`half_width/kid`", "metrics.`final/kid`", "metrics.`final/mae`"),
    *("tags.`status`", "tags.`supervision`", "tags.`commit`", "tags.`seed`", "tags.`SUPPORTED`", "tags.`CONTRADICTED`"),
)
DESCRIPTION = """\
Experiment **{experiment}** of params.yaml. There is a run for each dataset × method, with the mean over its seeds, the half-width of its
95% interval and the number of seeds (`mean/…`, `half_width/…`, `n/…`), its verdicts and the report's figures. Below it is a run for each
seed, with curves against images seen.

Earlier runs, of other settings, code or data, stand below *earlier runs*, the last row. Search for
- what counts now: `tags.state = 'current'`; the means alone: `tags.level = 'method'`
- what was before: `tags.state = 'superseded'`; its tag `superseded_by` names the run in its place
- what params.yaml no longer lists: `tags.state = 'unlisted'`

Everything here is made of the files in `results/`; `python -m pipeline.track --rebuild` makes it anew."""


def open_experiment(store: Store, params: Params) -> str:
    """Its id; it is made if it is not there, with its artifacts beside a local store and where a server keeps them otherwise."""
    name, client = params.tracked_as, store.client
    found = client.get_experiment_by_name(name)
    wanted = {
        KIND: TRAINING,
        OWN: params.experiment,
        NOTE: DESCRIPTION.format(experiment=params.experiment),
        f"mlflow.sharedViewState.{VIEW}": json.dumps(_view()),
    }
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=store.location(name), tags=wanted))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = client.get_experiment_by_name(name)  # another project has made it meanwhile
    if found.lifecycle_stage == "deleted":
        raise UserError(f"params.yaml: tracking.experiment: {name!r} lies in MLflow's bin; restore it there or choose another name")
    for key, value in wanted.items():
        if found.tags.get(key) != value:
            client.set_experiment_tag(found.experiment_id, key, value)
    return str(found.experiment_id)


def _view() -> dict[str, object]:
    """As MLflow's page keeps it for *Share*."""
    return {
        "searchFilter": NOW,
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "selectedColumns": list(COLUMNS),
        "columnOrder": ["attributes.`Run Name`", "attributes.`Created`", "attributes.`Duration`", *COLUMNS],
        "columnWidths": {"attributes.`Run Name`": 260},
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsVisibilityMap": {},
        "runsHiddenMode": "FIRST_10_RUNS",
        "viewMaximized": False,
        "runListHidden": False,
        "isAccordionReordered": False,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "autoRefreshEnabled": True,
    }


def address(server: str, experiment: str) -> str:
    """Of the experiment's table, with its columns chosen."""
    return f"{server.rstrip('/')}/#/experiments/{quote(experiment)}/runs?workflowType=machine_learning&viewStateShareKey={VIEW}"
