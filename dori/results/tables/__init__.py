"""Rows as tables, in the terminal, Markdown, LaTeX."""
