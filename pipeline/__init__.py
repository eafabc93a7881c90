"""Stage entry points and the glue to Snakemake, DVC and MLflow; the library itself is `cgm`."""
