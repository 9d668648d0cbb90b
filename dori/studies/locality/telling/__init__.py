"""What the study says of its rows: verdicts, tables, figures."""
