"""Training with PyTorch (the extra ``busnet[train]``)."""
