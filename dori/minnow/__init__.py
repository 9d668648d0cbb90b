"""minnow, the embedded model: its pictures, its recipe, its weights."""
