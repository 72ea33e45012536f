"""Honest figures: protocols, metrics with intervals, reports."""
