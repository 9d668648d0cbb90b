"""What an attack moves: embeddings, tokens, the initial noise."""
