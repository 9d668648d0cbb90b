"""The figures that papers report, beside those of a run."""
