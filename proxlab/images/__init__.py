"""Image files in and out, data sets to learn from, and how close one image is to another.

This room lies on the ground floor beside `solvers` and may import none of ours. The names below are
what most people need; the other files are imported by name.
"""

from proxlab.images.image_writing import write_image
from proxlab.images.reading import HOUNSFIELD, LoadedImage, list_images, list_pages, read_image

__all__ = ["HOUNSFIELD", "LoadedImage", "list_images", "list_pages", "read_image", "write_image"]
