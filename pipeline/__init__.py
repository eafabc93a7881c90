"""Stage entry points and the glue to Snakemake, DVC and MLflow; the library itself is `cgm`."""

import gc
import os

ENGINE = ("CGM_ENGINE", "DVC_STAGE")
"""Environment variables of a job: the Snakefile sets the first, to its process, DVC the second."""
PARENT = int(os.environ.get("CGM_ENGINE", os.getppid()))
"""The process that started this one. It is read here, before the imports: they take seconds, in which the engine may be killed. Snakemake
tells its jobs."""

if any(name in os.environ for name in ENGINE):
    # Nothing that imports make becomes garbage, and looking for it takes a fifth of their time. `stage_command.main` enables it again.
    gc.disable()
