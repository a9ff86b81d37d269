"""Small trainings by Lightning, each attempt in a child; prints what came of them.

Run by the trainers' own Python, with the start-up hook on PYTHONPATH: `lightning_cases.py FOLDER`.
"""

import hashlib
import inspect
import json
import logging
import os
import pickle
import shutil
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path

import lightning.pytorch as lightning
import lightning_script as script
import torch
from lightning.pytorch.callbacks import Callback, LearningRateFinder, ModelCheckpoint
from lightning.pytorch.tuner import Tuner
from torch.utils.data import DataLoader

warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Asker(Callback):
    """Asks this process to stop when so many batches, of training or validation, have begun."""

    def __init__(self, at, number=signal.SIGTERM):
        self.at, self.number, self.count = at, number, 0

    def tick(self, trainer, *_):
        self.count += not trainer.sanity_checking
        if self.count == self.at:
            os.kill(os.getpid(), self.number)

    on_train_batch_start = on_validation_batch_start = tick


class Unscheduled:
    """Has no validation that could drive a schedule."""

    def configure_optimizers(self):
        return super().configure_optimizers()["optimizer"]


class Model(script.Model):
    """The script's, silent; validations draw random numbers."""

    def __init__(self):
        super().__init__()
        self.lr = 0.01

    def loss(self, batch):
        x, y = batch
        return torch.nn.functional.mse_loss(self.network(x), y)

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch) + 0.001 * torch.rand(()))


class Plain(Unscheduled, Model):
    """Without a schedule."""


class Mean(Unscheduled, Model):
    """Changes its weights at the end of each batch, as one that keeps an average does."""

    def on_train_batch_end(self, *_):
        with torch.no_grad():
            self.network[0].bias.mul_(0.99)


def trainer_of(folder, every=0, stop_at=None, callbacks=(), **more):
    """A Trainer of 12 batches an epoch; `every`: steps between checkpoints, else each epoch."""
    saver = ModelCheckpoint(every_n_train_steps=every or None, save_top_k=-1)
    more = {"max_epochs": 2, "logger": False, "default_root_dir": folder, **more}
    return lightning.Trainer(
        accelerator="cpu", log_every_n_steps=2, enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[saver, *callbacks, *([Asker(stop_at)] if stop_at else [])], **more,
    )  # fmt: skip


def loaders(workers=0, **more):
    """Training data in a random order, and data to validate on."""
    shown = script.loader(1, shuffle=True)
    if workers:
        more |= {"num_workers": workers, "persistent_workers": True}
    return DataLoader(shown.dataset, 4, shuffle=True, **more), script.loader(2, shuffle=False)


def digest(model):
    """What must be equal after an interrupted run."""
    found = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        found.update(name.encode() + value.numpy().tobytes())
    return found.hexdigest()


def trained(folder, kind=Model, ckpt_path=None, workers=0, fit=None, **how):
    """Train, and say what came of it."""
    lightning.seed_everything(1, verbose=False)
    model = kind()
    trainer = trainer_of(folder, **how)
    train, val = loaders(workers)
    (fit or trainer.fit)(model, train, val, ckpt_path=ckpt_path)
    return {"weights": digest(model), "step": trainer.global_step}


def child(folder, work, **environment):
    """Do something in a child; its exit code and what it returned."""
    answer = folder / "answer.json"
    answer.unlink(missing_ok=True)
    pid = os.fork()
    if pid == 0:
        code = 1
        os.environ.update({name: str(value) for name, value in environment.items()})
        try:
            answer.write_text(json.dumps(work()))
            code = 0
        except SystemExit as error:
            code = error.code
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status, json.loads(answer.read_text()) if answer.exists() else None


class Run:
    """Attempts on one folder."""

    def __init__(self, folder, name):
        self.folder = folder / name
        self.out = self.folder / "out"
        (self.folder / "run" / ".supervisor").mkdir(parents=True)
        self.attempts = 0

    def attempt(self, work, resume=None, **more):
        """One attempt as the supervisor starts it: exit code, answer, what was told."""
        self.attempts += 1
        beats = self.folder / f"beats-{self.attempts}"
        beats.mkdir()
        environment = {
            "SUPERVISOR_HEARTBEAT": beats,
            "SUPERVISOR_RUN_DIR": self.folder / "run",
            "SUPERVISOR_ATTEMPT": self.attempts,
            **more,
        }
        if resume is not None:
            environment["SUPERVISOR_RESUME_FROM"] = resume
        code, answer = child(self.folder, work, **environment)
        described = beats / "describe-0.json"
        told = json.loads(described.read_text()) if described.exists() else {}
        return {"code": code, "answer": answer, "described": told}

    def saved(self):
        """The checkpoints on disk, by the order of their saves."""
        found = self.out.rglob("*.ckpt")
        return [str(path) for path in sorted(found, key=lambda path: path.stat().st_mtime_ns)]

    def record(self):
        """The lines of the record of saves."""
        record = self.folder / "run" / ".supervisor" / "trainings.jsonl"
        return [json.loads(line) for line in record.read_text().splitlines()]


SHAPES = {
    "each_epoch": {"val_check_interval": 1.0},
    "often": {"every": 5, "val_check_interval": 0.5},
    "accumulated": {"every": 2, "accumulate_grad_batches": 2, "max_steps": 11, "max_epochs": None},
    "max_steps": {"max_steps": 20},
    "workers": {"every": 5, "workers": 2, "limit_val_batches": 2},
    "no_validation": {"every": 4, "limit_val_batches": 0, "kind": Plain},
}  # fmt: skip


def carried(folder, name, **how):
    """Go on from each of its checkpoints, and from stops all over it; the weights of all."""
    run = Run(folder, name)
    alone = child(run.folder, lambda: trained(run.folder / "alone", **how))[1]
    ends = {"supervised": run.attempt(lambda: trained(run.out, **how))["answer"]}
    told = {}
    for path in run.saved():
        done = run.attempt(lambda: trained(run.out, **how), resume=path)
        ends[Path(path).name] = done["answer"]
        told[Path(path).name] = done["described"]["told"]
    codes = {}
    for at in (2, 12, 13, 17, 24, 29):
        codes[at], ends[f"stop {at}"], told[f"stop {at}"] = stopped(
            Run(folder, f"{name}-{at}"), at, how
        )
    return {
        "differ": {key: end for key, end in ends.items() if end != alone},
        "ends": len(ends),
        "codes": codes,
        "told": {key: sentences for key, sentences in told.items() if sentences},
    }


def stopped(run, at, how):
    """A stop, and the attempt that goes on from it: exit code, end, what was told."""
    first = run.attempt(lambda: trained(run.out, stop_at=at, **how))
    if first["code"] != 75:
        return first["code"], first["answer"], []
    second = run.attempt(lambda: trained(run.out, **how), resume=run.saved()[-1])
    return 75, second["answer"], second["described"]["told"]


def changed_at_batch_ends(folder):
    """A module whose `on_train_batch_end` changes the weights: a stop's save comes after it."""
    run = Run(folder, "changed")
    how = {"kind": Mean, "limit_val_batches": 0}
    alone = child(run.folder, lambda: trained(run.folder / "alone", **how))[1]
    code, end, told = stopped(run, 5, how)
    saved = Run(folder, "changed-saved")
    saved.attempt(lambda: trained(saved.out, every=5, **how))
    again = saved.attempt(lambda: trained(saved.out, every=5, **how), resume=saved.saved()[0])
    return [code, end == alone, told, again["answer"] == alone, again["described"]["told"]]


def resumed(folder):
    """What replaces what the script says, and what does not."""
    run = Run(folder, "resumed")
    how = {"every": 5}
    run.attempt(lambda: trained(run.out, **how))
    early, late = run.saved()[0], run.saved()[-1]

    def first(asked, resume, attempt):
        class Look(Callback):
            def on_train_start(self, trainer, pl_module):
                Path(run.folder / "began").write_text(str(trainer.global_step))

        run.attempts = attempt - 1
        for path in run.folder.glob("beats-*"):
            path.rename(path.with_name(f"old-{path.name}-{time.monotonic_ns()}"))
        done = run.attempt(
            lambda: trained(run.out, callbacks=[Look()], ckpt_path=asked, **how), resume
        )
        return [int((run.folder / "began").read_text()), done["described"]["told"], done["code"]]

    weights = run.out / "checkpoints" / "weights.ckpt"

    def only_weights():
        held = torch.load(late, weights_only=True)
        del held["optimizer_states"]
        torch.save(held, weights)

    child(run.folder, only_weights)
    return {
        "none": first(None, late, 2),
        "last": first("last", late, 2),
        "fixed, attempt 1": first(early, late, 1),
        "fixed, attempt 2": first(early, late, 2),
        "weights": first(None, weights, 2),
    }


def whole_script(folder):
    """Fits that are no training, a fit inside another, two trainings in one folder."""
    run = Run(folder, "whole")

    def work():
        lightning.seed_everything(1, verbose=False)
        train, val = loaders()
        trainer_of(run.out / "dev", fast_dev_run=True).fit(Model(), train, val)
        model = Model()
        Tuner(trainer_of(run.out / "tuner")).lr_find(model, train, val, num_training=5)

        class Helper(Callback):
            def on_validation_end(self, trainer, pl_module):
                if not trainer.sanity_checking and trainer.current_epoch == 0:
                    inner = trainer_of(run.out / "inner", max_epochs=1)
                    inner.fit(Model(), *loaders())

        trainer = trainer_of(run.out, every=5, callbacks=[Helper()], max_epochs=1)
        trainer.fit(model, train, val)
        trainer.validate(model, val, verbose=False)
        trainer_of(run.out, every=5, max_epochs=1).fit(Model(), train, val)
        return [type(each).__name__ for each in trainer.callbacks]

    done = run.attempt(work)
    return {**done, "record": [(line["ordinal"], line["step"]) for line in run.record()]}


def twice(folder):
    """One trainer fits twice; a resume goes into the second fit."""
    run = Run(folder, "twice")

    def work():
        lightning.seed_everything(1, verbose=False)
        model, data = Model(), loaders()
        trainer = trainer_of(run.out, every=5, max_epochs=1)
        trainer.fit(model, *data)
        trainer.fit_loop.max_epochs = 2
        trainer.fit(model, *data)
        return digest(model)

    alone = child(run.folder, work)[1]
    shutil.rmtree(run.out)
    first = run.attempt(work)
    record = [(line["ordinal"], line["step"]) for line in run.record()]
    second = run.attempt(work, resume=run.record()[2]["checkpoint"])
    return [alone == first["answer"] == second["answer"], record, second["described"]]


def finder(folder):
    """A LearningRateFinder among the callbacks, and a resume: the fit goes on where it was."""
    run = Run(folder, "finder")
    how = {"every": 5}

    def find():
        return [LearningRateFinder(num_training_steps=5)]

    first = run.attempt(lambda: trained(run.out, callbacks=find(), **how))
    path = run.saved()[1]

    class Look(Callback):
        def on_train_start(self, trainer, pl_module):
            (run.folder / "began").write_text(str(trainer.global_step))

    second = run.attempt(lambda: trained(run.out, callbacks=[*find(), Look()], **how), resume=path)
    return [first, second, (run.folder / "began").read_text(), Path(path).name]


def stopped_in_test(folder):
    """A stop in an evaluation after the training."""
    run = Run(folder, "test")

    def work():
        trained(run.out, max_epochs=1)
        trainer = trainer_of(run.out, stop_at=3)
        trainer.validate(Model(), loaders()[1], verbose=False)

    return run.attempt(work)


def under_slurm(folder):
    """SIGUSR1 in a validation, in a job that Lightning would requeue by itself."""
    run = Run(folder, "slurm")
    job = {
        "SLURM_JOB_ID": 1, "SLURM_JOB_NAME": "train", "SLURM_NTASKS": 1, "SLURM_PROCID": 0,
        "SLURM_LOCALID": 0, "SLURM_NODEID": 0, "SLURM_NTASKS_PER_NODE": 1,
    }  # fmt: skip

    def work():
        asker = Asker(15, signal.SIGUSR1)
        trained(run.out, callbacks=[asker])

    done = run.attempt(work, **job)
    again = run.attempt(lambda: trained(run.out), resume=run.saved()[-1], **job)
    alone = child(run.folder, lambda: trained(run.folder / "alone"))[1]
    names = sorted(os.path.basename(path) for path in run.saved())
    return [done["code"], again["answer"] == alone, names]


class Setting:
    """An object of the script's, which torch loads only from files that are trusted."""


class WithSetting(Model):
    """Keeps such an object in its checkpoints."""

    def __init__(self):
        super().__init__()
        self.save_hyperparameters({"setting": Setting()})


def own_types(folder):
    """A checkpoint with objects of the script's; one of this run, and one from elsewhere."""
    run, other = Run(folder, "types"), Run(folder, "types-elsewhere")
    how = {"kind": WithSetting, "every": 5}
    alone = run.attempt(lambda: trained(run.out, **how))["answer"]
    path = run.saved()[0]
    own = run.attempt(lambda: trained(run.out, **how), resume=path)
    (other.out / "checkpoints").mkdir(parents=True)
    copied = shutil.copy(path, other.out / "checkpoints")
    foreign = other.attempt(lambda: trained(other.out, **how), resume=copied)
    return [own["answer"] == alone, foreign["code"]]


def own_handler(folder):
    """The script's own handler of SIGTERM is left alone, and gets the signal."""
    run = Run(folder, "handler")

    def work():
        seen = []
        signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
        try:
            trained(run.out, stop_at=4)
        except SystemExit as error:
            return [len(seen), str(error.code), run.saved()]

    return run.attempt(work)


class Untouchable(torch.Tensor):
    """A tensor whose value must not be read."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", "")
        if name in ("item", "__float__", "__bool__", "__int__", "tolist", "numpy", "cpu"):
            raise RuntimeError(f"a value was read: {name}")
        return super().__torch_function__(function, types, args, kwargs or {})


def no_reading(folder):
    """No value of a tensor is read: losses and metrics that raise when they are."""
    run = Run(folder, "reading")

    class Quiet(Model):
        def training_step(self, batch, batch_idx):
            return self.loss(batch).as_subclass(Untouchable)

        def validation_step(self, batch, batch_idx):
            return None

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.01)

    return run.attempt(lambda: trained(run.out, kind=Quiet, every=5, detect_anomaly=False))


def as_without(folder):
    """What a script can see of the adapter."""
    run = Run(folder, "without")

    def work():
        trainer = trainer_of(run.out)
        ours = [each for each in trainer.callbacks if type(each).__name__ == "SupervisorCallback"]
        copied = pickle.loads(pickle.dumps(ours))
        return {
            "signature": list(inspect.signature(trainer.save_checkpoint).parameters),
            "ours": len(ours),
            "copied": [type(each).__name__ for each in copied],
            "is_callback": isinstance(ours[0], Callback),
            "state": ours[0].state_dict(),
        }

    bare = child(
        run.folder, lambda: [type(each).__name__ for each in trainer_of(run.out).callbacks]
    )
    return {**run.attempt(work), "bare": bare[1]}


def unfit(folder):
    """A version in which something that the adapter needs is missing."""
    run = Run(folder, "unfit")
    alone = child(run.folder, lambda: trained(run.folder / "alone", max_epochs=1))[1]

    def work():
        lightning.Trainer._fit_impl = lightning.Trainer._fit_impl.__wrapped__
        del sys.modules["lightning.pytorch.loops.fetchers"]
        names = [type(each).__name__ for each in trainer_of(run.out).callbacks]
        return [names, trained(run.out, max_epochs=1)]

    done = run.attempt(work, SUPERVISOR_LAUNCHER=f"{os.getpid()}:1")
    return [done["code"], done["answer"][0], done["answer"][1] == alone, done["described"]]


def cost(folder):
    """Microseconds that the callback adds to a batch."""
    run = Run(folder, "cost")

    def work():
        took = {}

        class Time(Callback):
            def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
                if trainer.global_step != 1:
                    return
                from lightning.pytorch.trainer.call import _call_callback_hooks

                callbacks = trainer.callbacks
                for name in ("with", "without") * 3:
                    trainer.callbacks = callbacks[-1:] if name == "with" else []
                    best = took.get(name, 1e9)
                    for _ in range(20):
                        began = time.perf_counter()
                        for _ in range(100):
                            _call_callback_hooks(
                                trainer, "on_train_batch_end", outputs, batch, batch_idx
                            )
                        best = min(best, (time.perf_counter() - began) / 100 * 1e6)
                    took[name] = best
                trainer.callbacks = callbacks

        trained(run.out, callbacks=[Time()], max_epochs=1, limit_train_batches=2)
        return took

    return run.attempt(work)


CASES = {
    case.__name__: case
    for case in (
        resumed,
        changed_at_batch_ends, whole_script, twice, finder,
        stopped_in_test, under_slurm, own_types, own_handler, no_reading, as_without, unfit, cost,
    )
}  # fmt: skip


def main(folder, names):
    """Print the answers as one line of JSON."""
    torch.set_num_threads(1)
    answers = {}
    for name in names or [*CASES, *SHAPES]:
        if name in CASES:
            answers[name] = CASES[name](folder)
        else:
            answers[name] = carried(folder, name, **SHAPES[name])
    print("ANSWERS " + json.dumps(answers))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
