"""How often intervals hold the truth and verdicts are false, where it is known: ``python -m dori.calibrate``.

Everything is asked of the functions that make a report; no model is run.
"""
