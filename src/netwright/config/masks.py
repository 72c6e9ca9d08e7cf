"""What masks mean: one class for each pixel of an image."""

IGNORED = 255  # in a mask, in place of a class: the pixel is neither trained on nor judged
MOST_CLASSES = 255
