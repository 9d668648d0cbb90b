"""Rows and pictures as figures."""
