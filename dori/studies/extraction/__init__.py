"""Are there images that anybody can extract?"""
