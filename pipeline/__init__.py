"""Stage entry points and the glue to Snakemake, DVC and MLflow; the library itself is `cgm`."""

import os

PARENT = int(os.environ.get("CGM_ENGINE", os.getppid()))
"""The process that started this one: Snakemake's jobs are told, otherwise it is read before the imports, which take seconds in which the
engine may be killed."""
