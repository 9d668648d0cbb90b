"""Is memorization local?"""
