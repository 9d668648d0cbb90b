"""Every table and figure of the docs, run again and written into the pages."""
