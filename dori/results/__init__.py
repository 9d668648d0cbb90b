"""What a run hands over: rows, tables, pictures, a verdict, the report, and what goes to W&B."""
