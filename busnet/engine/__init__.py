"""The engine: weights, plans and threads."""
