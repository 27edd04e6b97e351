"""A page on this machine that shows what a network sees in an image and what its SE blocks do."""

from keras_se.explore.explorer import KINDS, Explorer, View
from keras_se.explore.page import Page
from keras_se.explore.server import serve

__all__ = ["KINDS", "Explorer", "Page", "View", "serve"]
