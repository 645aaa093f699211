"""Sequence layers with state, each in a parallel and a recurrent form."""
