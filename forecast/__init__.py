"""forecast: time-series forecasting and streaming anomaly detection on state-space models."""
