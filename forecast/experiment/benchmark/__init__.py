"""Benchmarks under published protocols, one file each."""
