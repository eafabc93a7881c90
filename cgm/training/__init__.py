"""The trainer: one loop for all methods."""
