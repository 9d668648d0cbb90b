"""Rows as they lie, and estimates, comparisons and answers of them."""
