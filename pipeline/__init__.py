"""Stage entry points and the glue to Snakemake, DVC and MLflow; the library itself is `cgm`."""

import gc
import os

ENGINE = ("CGM_ENGINE", "DVC_STAGE")
"""Environment variables of a job: the Snakefile sets the first, to its process, DVC the second."""
PARENT = int(os.environ.get("CGM_ENGINE", os.getppid()))
"""The process that started this one: Snakemake's jobs are told, otherwise it is read before the imports, which take seconds in which the
engine may be killed."""

if any(name in os.environ for name in ENGINE):
    # What imports make stays, and to search it for garbage takes a fifth of them; `pipeline.stage.main` goes back to the usual.
    gc.disable()
