"""The steps that studies are made of, and what they work with."""
