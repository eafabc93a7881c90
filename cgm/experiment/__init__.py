"""``params.yaml``: what an experiment is, read and checked without torch."""
