"""A script in the form of xgboost's guide: `TrainingCheckPoint`, `--resume MODEL`."""

import argparse
import os
import re
import time

import numpy
import xgboost

parser = argparse.ArgumentParser()
parser.add_argument("--resume")
args = parser.parse_args()


class Pace(xgboost.callback.TrainingCallback):
    """As slow as with real data."""

    def after_iteration(self, model, epoch, evals_log):
        """Wait."""
        time.sleep(float(os.environ.get("STEP_S", "0")))
        return False


os.makedirs("models", exist_ok=True)
chance = numpy.random.default_rng(0)
rows = chance.random((200, 8))
data = xgboost.DMatrix(rows, (rows.sum(1) > 4).astype(int))
done = 0
if args.resume:
    done = int(re.findall(r"\d+", args.resume)[-1]) + 1
saves = xgboost.callback.TrainingCheckPoint("models", interval=10, name="model")
told = {"max_depth": 3, "nthread": 1, "objective": "binary:logistic"}
booster = xgboost.train(
    told, data, 60 - done, evals=[(data, "train")], callbacks=[saves, Pace()],
    xgb_model=args.resume,
)  # fmt: skip
booster.save_model("final.ubj")
