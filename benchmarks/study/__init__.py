"""A study of the metrics: what each one sees of generators whose faults are known (``docs/metrics.md``)."""
