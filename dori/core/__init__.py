"""What everything stands on: stages and their cache, configuration, ranks, randomness, errors."""
