"""Experiments: configuration, comparison, training, tracking."""
