"""Which of its training pictures does a model give back, how easily, and would its base have, too?"""
