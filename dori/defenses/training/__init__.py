"""A model trained so as to forget: material, loop, validation."""
