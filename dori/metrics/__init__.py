"""Metrics, one per file, named as in the papers: a pure function and a thin torchmetrics class."""
