"""From outputs to numbers: the metrics, what they are compared with, and statistics over seeds."""
