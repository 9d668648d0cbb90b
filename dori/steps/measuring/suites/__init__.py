"""Quality as papers report it: prompts of a benchmark, and how the pictures of them are scored."""
