"""Masks of images: which file is whose, what its values mean, and the store of them beside the images."""
