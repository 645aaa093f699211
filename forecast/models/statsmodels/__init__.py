"""Baselines whose parameters statsmodels estimates, series by series. No other room of `models` imports it."""
