"""Experiments: train, evaluate and compare, as the commands and Python call them."""
