"""Whose triggers work on whom?"""
