"""Everything about input: panels, reading, windows, catalogue."""
