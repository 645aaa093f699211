"""State-space machinery: pure functions on tensors."""
