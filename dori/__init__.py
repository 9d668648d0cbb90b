"""dori: has a text-to-image diffusion model really forgotten the images that it memorized?"""

__version__ = "0.1.0"
