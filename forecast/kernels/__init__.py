"""Numba kernels on NumPy arrays, behind one import guard."""
