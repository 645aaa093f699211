"""Live rows to alerts: one loop, one durable store, sources, sinks, events. Killed anywhere, it goes on as if it had not been."""
