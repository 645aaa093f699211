"""Detection: from evidence to verdicts. Knows no table and no configuration."""
