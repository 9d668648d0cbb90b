"""Attacks at several budgets, and the work that they took."""
