"""Does a mitigation remove memorized images, or only hide them?"""
