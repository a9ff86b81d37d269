"""Stands in for torchvision where its wheel cannot be imported: beside a build of torch for CPUs.

PyPI's torchvision links CUDA's parts of PyPI's torch. ultralytics imports it for `ops.nms` alone.
"""

from . import ops as ops

__version__ = "0.28.0"
