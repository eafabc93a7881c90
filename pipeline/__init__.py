"""Stage entry points and the glue to Snakemake, DVC and MLflow; the library itself is `cgm`."""

import os

PARENT = os.getppid()
"""The process that started this one; read before the imports, which take seconds in which it may be killed."""
