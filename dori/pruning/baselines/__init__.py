"""Simple ways of choosing weights, at a ratio that is given."""
