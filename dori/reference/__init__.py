"""The generated parts of docs/: options and settings from YAML files and docstrings, rows by contract.

``python -m dori.reference`` writes them anew, between ``<!-- generated: ... -->`` and ``<!-- end -->``.
"""
