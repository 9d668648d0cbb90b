"""What the rows bear out, in plain sentences."""
