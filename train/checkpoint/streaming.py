"""Saving straight to the disk, for a state that memory has no room for: training waits."""

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from supervisor.checkpoint.commit import CheckpointWriter
from supervisor.snapshot.seal import Snapshot
from train.checkpoint.outcome import Saved
from train.checkpoint.sources import Sources
from supervisor.durable import fsync_directory
