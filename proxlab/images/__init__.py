"""Image files in and out, data sets to learn from, and how close one image is to another.

The ground floor of proxlab beside `solvers`: this room imports no other. What people need at the
door is named here; the other files are imported by name.
"""

from proxlab.images.reading import HOUNSFIELD, LoadedImage, list_images, read_image, write_image

__all__ = ["HOUNSFIELD", "LoadedImage", "list_images", "read_image", "write_image"]
