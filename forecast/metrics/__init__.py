"""Metrics: an Outcome becomes a Tally, tallies are pooled."""
