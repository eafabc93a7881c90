"""cgm: a reproducible benchmark of conditional generative models."""

__version__ = "0.1.0"
