"""Do masks of disjoint sets of prompts prune the same weights?"""
