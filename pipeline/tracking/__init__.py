"""MLflow as a view of the plain files: everything in the store can be made anew from ``results/``.

``files`` reads what the stages left and what trainings write as they go, ``record`` says what MLflow is told of a run, ``group`` what of a
dataset × method, ``lineage`` what a run came of and made (``dataset``, ``model``, ``registry``). ``writing`` sends all of it, ``reconcile``
decides what is to be sent, ``store`` opens the store and heals it, ``view`` is its first screen. ``follow`` and ``ui`` are the commands.
There is one writer at a time (:func:`pipeline.tracking.store.alone`).
"""

import os

# All of them are read when mlflow is imported. Its own 7 retries take four minutes to say that no server is there.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
