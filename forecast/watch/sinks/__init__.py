"""Where alerts go: at least once, under an id that never changes."""
