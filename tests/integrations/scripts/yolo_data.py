"""Writes a data set of a few pictures and a tiny model's YAML, with which `yolo train` can train.

python yolo_data.py FOLDER
"""

import sys
from pathlib import Path

import cv2
import numpy
import yaml

folder = Path(sys.argv[1]).absolute()
chance = numpy.random.default_rng(0)
for part in ("images", "labels"):
    (folder / "data" / part).mkdir(parents=True)
for number in range(8):
    picture = chance.integers(0, 255, (32, 32, 3), numpy.uint8)
    cv2.imwrite(str(folder / "data" / "images" / f"{number}.png"), picture)
    (folder / "data" / "labels" / f"{number}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
data = {"path": str(folder / "data"), "train": "images", "val": "images", "names": {0: "a"}}
(folder / "data.yaml").write_text(yaml.safe_dump(data))
net = {
    "nc": 1,
    "backbone": [[-1, 1, "Conv", [4, 3, 2]], [-1, 1, "Conv", [4, 3, 2]]],
    "head": [[[1], 1, "Detect", ["nc"]]],
}
(folder / "tiny.yaml").write_text(yaml.safe_dump(net))
