"""Small trainings by transformers' Trainer, each attempt in a child; prints what came of them.

Run by the trainers' own Python, with the start-up hook on PYTHONPATH. `hf_cases.py FOLDER`.
"""

import copy
import hashlib
import inspect
import json
import os
import pickle
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import ClassVar

import torch
import transformers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

PER_EPOCH = 5


class Rows(torch.utils.data.Dataset):
    """Rows of random numbers; reading one may ask this process to stop, or take a while."""

    def __init__(self, count, stop_at=None, row_s=0.0):
        self.rows = torch.randint(0, 50, (count, 8), generator=torch.Generator().manual_seed(count))
        self.stop_at, self.row_s = stop_at, row_s

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        time.sleep(self.row_s)
        if index == self.stop_at and self.stop_at is not None:
            os.kill(os.getpid(), signal.SIGTERM)
        return {"input_ids": self.rows[index], "labels": self.rows[index]}


class Asker(TrainerCallback):
    """Asks this process to stop before a step is done."""

    def __init__(self, step):
        self.step = step

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == self.step - 1:
            os.kill(os.getpid(), signal.SIGTERM)


def made(folder, stop_at=None, stop_in_eval=None, eval_row_s=0.0, kind=Trainer, **more):
    """A Trainer of four examples a step, twenty an epoch."""
    set_seed(7)
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=50, n_positions=16, n_embd=16, n_layer=1, n_head=2)
    )
    more = {"num_train_epochs": 2, "save_steps": 100, "logging_steps": 1, **more}
    if "eval_strategy" not in inspect.signature(TrainingArguments).parameters:
        more["evaluation_strategy"] = more.pop("eval_strategy", "no")  # its name before 4.41
    args = TrainingArguments(
        str(folder), per_device_train_batch_size=4, per_device_eval_batch_size=2,
        report_to=[], disable_tqdm=True, learning_rate=0.01, **more,
    )  # fmt: skip
    return kind(
        model, args, train_dataset=Rows(20), eval_dataset=Rows(12, stop_in_eval, eval_row_s),
        callbacks=[Asker(stop_at)] if stop_at else [],
    )  # fmt: skip


def facts(trainer):
    """What must be equal after an interrupted run."""
    digest = hashlib.sha256()
    for name, value in sorted(trainer.model.state_dict().items()):
        digest.update(name.encode() + value.numpy().tobytes())
    kept = ("loss", "eval_loss", "step", "grad_norm", "learning_rate")
    return {
        "weights": digest.hexdigest(),
        "step": trainer.state.global_step,
        "best": trainer.state.best_metric,
        "log": [
            {name: line[name] for name in kept if name in line}
            for line in trainer.state.log_history
        ],
    }


def child(folder, work, **environment):
    """Do something in a child; its exit code and what it returned, printed or told."""
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
    """Attempts on one output directory."""

    def __init__(self, folder, name):
        self.folder = folder / name
        self.out = self.folder / "out"
        (self.folder / "run" / ".supervisor").mkdir(parents=True)
        self.attempts = 0

    def attempt(self, work, resume=None, grace=60):
        """One attempt as the supervisor starts it; exit code, answer, and what was told."""
        self.attempts += 1
        beats = self.folder / f"beats-{self.attempts}"
        beats.mkdir()
        environment = {
            "SUPERVISOR_HEARTBEAT": beats,
            "SUPERVISOR_RUN_DIR": self.folder / "run",
            "SUPERVISOR_ATTEMPT": self.attempts,
            "SUPERVISOR_GRACE_S": grace,
        }
        if resume is not None:
            environment["SUPERVISOR_RESUME_FROM"] = self.out / f"checkpoint-{resume}"
        code, answer = child(self.folder, work, **environment)
        described = beats / "describe-0.json"
        told = json.loads(described.read_text()) if described.exists() else None
        return {"code": code, "answer": answer, "described": told, "saved": self.saved()}

    def saved(self):
        """The checkpoints on disk, with their files."""
        found = sorted(self.out.glob("checkpoint-*"), key=lambda path: path.stat().st_mtime)
        return {path.name: sorted(os.listdir(path)) for path in found}

    def record(self):
        """The lines of the record of saves."""
        record = self.folder / "run" / ".supervisor" / "trainings.jsonl"
        return [json.loads(line) for line in record.read_text().splitlines()]


def trained(folder, resume=None, **how):
    """Train, and say what came of it."""
    trainer = made(folder, **how)
    trainer.train(resume_from_checkpoint=resume)
    return facts(trainer)


STOPS = {
    "save_no": {"save_strategy": "no", "stop_at": 7},
    "only_model": {"save_only_model": True, "save_steps": 3, "stop_at": 7},
    "accumulated": {"gradient_accumulation_steps": 2, "num_train_epochs": 4, "stop_at": 4},
    "evaluation_due": {"eval_strategy": "steps", "eval_steps": 3, "stop_at": 6},
    "evaluation_at_epochs_end": {"eval_strategy": "epoch", "save_strategy": "epoch", "stop_at": 5},
    "plateau": {
        "eval_strategy": "epoch", "lr_scheduler_type": "reduce_lr_on_plateau", "stop_at": 5,
        "metric_for_best_model": "loss", "greater_is_better": True,
        "lr_scheduler_kwargs": {"patience": 0},
    },
    "in_evaluation_short": {"eval_strategy": "steps", "eval_steps": 4, "stop_in_eval": 2},
    "in_evaluation_long": {
        "eval_strategy": "steps", "eval_steps": 4, "stop_in_eval": 2, "eval_row_s": 0.2
    },
    "best_one_kept": {
        "eval_strategy": "steps", "eval_steps": 2, "save_steps": 2, "save_total_limit": 1,
        "load_best_model_at_end": True, "stop_at": 7,
    },
    "save_best": {
        "eval_strategy": "steps", "eval_steps": 2, "save_strategy": "best", "stop_at": 6,
        "metric_for_best_model": "loss", "greater_is_better": True,
    },
    "last_step_inside_epoch": {"max_steps": 7, "lr_scheduler_type": "constant", "stop_at": 7},
    "last_step": {"lr_scheduler_type": "constant", "stop_at": 10},
}  # fmt: skip


def stopped(folder, name, **how):
    """An uninterrupted training, a stopped one, and the one that goes on from that."""
    run = Run(folder, name)
    again = {key: value for key, value in how.items() if not key.startswith("stop")}
    alone = child(run.folder, lambda: trained(run.folder / "alone", **{**again, "eval_row_s": 0}))
    grace = 2 if "row_s" in str(how) else 60
    began = time.monotonic()
    first = run.attempt(lambda: trained(run.out, **how), grace=grace)
    took = time.monotonic() - began
    newest = max((int(name.split("-")[1]) for name in first["saved"]), default=None)
    second = run.attempt(lambda: trained(run.out, **again), resume=newest)
    return {"alone": alone[1], "first": first, "second": second, "newest": newest, "took": took}


def as_without(folder):
    """What a user can see of the patch, and the callbacks before, inside and after a training."""

    def work():
        seen = {}

        class Look(TrainerCallback):
            def on_step_end(self, args, state, control, **kwargs):
                handler = trainer.callback_handler
                seen["inside"] = [type(one).__name__ for one in handler.callbacks]
                copied = [copy.deepcopy(one) for one in handler.callbacks[-1:]]
                copied += pickle.loads(pickle.dumps(handler.callbacks[-1:]))
                seen["copied"] = [type(one).__name__ for one in copied]

        trainer = made(folder / "plain", max_steps=2)
        trainer.add_callback(Look())
        seen["before"] = [type(one).__name__ for one in trainer.callback_handler.callbacks]
        trainer.train()
        trainer.train(None)
        seen["after"] = [type(one).__name__ for one in trainer.callback_handler.callbacks]
        seen["signature"] = list(inspect.signature(Trainer.train).parameters)
        seen["doc"] = Trainer.train.__doc__[:40].split()
        seen["is_pickled"] = pickle.loads(pickle.dumps(Trainer.train)) is Trainer.train
        seen["source"] = inspect.getsource(Trainer.train).split("(")[0].split()
        return seen

    return Run(folder, "as_without").attempt(work)


def raising(folder):
    """An exception of the user's passes as it is; the next training is another one."""
    run = Run(folder, "raising")

    def work():
        class Bad(TrainerCallback):
            def on_step_end(self, args, state, control, **kwargs):
                raise RuntimeError("of the user's")

        trainer = made(run.out, max_steps=2, save_steps=1)
        trainer.add_callback(Bad())
        try:
            trainer.train()
        except RuntimeError as error:
            files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
        names = [type(one).__name__ for one in trainer.callback_handler.callbacks]
        trainer.remove_callback(Bad)
        trainer.train()
        return {"files": files, "callbacks": names}

    return {**run.attempt(work), "record": run.record()}


def nested(folder):
    """A training inside another one is a part of that."""
    run = Run(folder, "nested")

    def work():
        class Inner(TrainerCallback):
            def on_step_end(self, args, state, control, **kwargs):
                if state.global_step == 2:
                    inner = made(run.folder / "inner", max_steps=3, save_steps=1)
                    inner.train()
                    seen.append([type(one).__name__ for one in inner.callback_handler.callbacks])

        seen = []
        trainer = made(run.out, max_steps=4, save_steps=2)
        trainer.add_callback(Inner())
        trainer.train()
        return seen

    return {**run.attempt(work), "record": run.record()}


def by_hand(folder):
    """The object, without the hook and with it; a subclass that trains without Trainer.train."""
    run = Run(folder, "by_hand")

    def work():
        from _train_supervisor.integrations.huggingface import SupervisorCallback

        class Own(SupervisorCallback):
            kept = None

            def on_save(self, args, state, control, **kwargs):
                self.kept = state.global_step
                super().on_save(args, state, control, **kwargs)

        own = Own()
        trainer = made(run.out, max_steps=3, save_steps=1)
        trainer.add_callback(own)
        trainer.add_callback(TrainerCallback())
        trainer.train()
        names = [type(one).__name__ for one in trainer.callback_handler.callbacks]

        class Apart(Trainer):
            def train(self, resume_from_checkpoint=None):
                self.is_in_train = True
                return self._inner_training_loop(batch_size=4, args=self.args)

        other = made(run.folder / "apart", kind=Apart, max_steps=2, save_steps=1)
        other.add_callback(SupervisorCallback)
        other.train()
        return {
            "kept": own.kept,
            "names": names,
            "copy": type(pickle.loads(pickle.dumps(SupervisorCallback()))).__name__,
        }

    return {**run.attempt(work), "record": run.record()}


class OnDevice(torch.Tensor):
    """A tensor that nobody may read."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        raise RuntimeError(f"{function} of a tensor on the device")


def no_reading(folder):
    """No value of a tensor is read, whatever a Trainer logs."""
    run = Run(folder, "no_reading")

    class Logs(Trainer):
        def log(self, logs, *args, **kwargs):
            told = {**logs, "loss": torch.ones(()).as_subclass(OnDevice), "grad_norm": OnDevice()}
            self.callback_handler.on_log(self.args, self.state, self.control, told)

    def work():
        trainer = made(run.out, kind=Logs, max_steps=3)
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
        return trainer.state.global_step

    return run.attempt(work)


def early(folder):
    """Early stopping is an end; a save of enable_jit_checkpoint is none."""
    run = Run(folder, "early")

    def work():
        trainer = made(
            run.out, eval_strategy="steps", eval_steps=1, metric_for_best_model="loss",
            load_best_model_at_end=True, save_steps=1, greater_is_better=True,
        )  # fmt: skip
        trainer.add_callback(transformers.EarlyStoppingCallback(1))
        trainer.train()
        return trainer.state.global_step

    jit = Run(folder, "jit")

    def at_once():
        if not hasattr(TrainingArguments, "enable_jit_checkpoint"):
            return None
        trainer = made(jit.out, enable_jit_checkpoint=True, max_steps=400, num_train_epochs=200)
        manager = next(
            one.jit_manager for one in trainer.callback_handler.callbacks
            if hasattr(one, "jit_manager")
        )  # fmt: skip
        manager.kill_wait = 0.01
        trainer.add_callback(Asker(2))
        trainer.train()
        return trainer.state.global_step

    return {"early": run.attempt(work), "jit": jit.attempt(at_once)}


def upload(folder):
    """A stop does not wait for an upload that goes on. Not in a child: the interpreter ends."""
    from concurrent.futures import ThreadPoolExecutor

    class Push:
        jobs = ThreadPoolExecutor(1).submit(time.sleep, 3600)

        def is_done(self):
            return self.jobs.done()

    trainer = made(folder / "out", stop_at=2)
    trainer.push_in_progress = Push()
    trainer.train()


def searched(folder):
    """Trials of a search begin anew, each in its own folder."""
    run = Run(folder, "searched")

    def work():
        class Trial:
            number = 0
            params: ClassVar = {}

        trainer = made(run.out, max_steps=2, save_steps=1)
        transformers.integrations.hp_params = lambda trial: {}
        transformers.trainer.hp_params = lambda trial: {}
        trainer.hp_search_backend = transformers.trainer_utils.HPSearchBackend.OPTUNA
        trainer.hp_space, trainer.hp_name = (lambda trial: {}), None
        trainer.model_init = lambda: trainer.model
        trainer.train(trial=Trial())
        return trainer.state.global_step

    return {**run.attempt(work), "record": run.record()}


def cost(folder):
    """Microseconds that the callback adds to a step."""
    run = Run(folder, "cost")

    def work():
        took = {}

        class Time(TrainerCallback):
            def on_step_end(self, args, state, control, **kwargs):
                if state.global_step != 1:
                    return
                handler = trainer.callback_handler
                own = handler.callbacks[-1]
                for name in ("with", "without", "with", "without", "with", "without"):
                    handler.callbacks = [own] if name == "with" else []
                    best = took.get(name, 1e9)
                    for _ in range(20):
                        began = time.perf_counter()
                        for _ in range(100):
                            handler.on_step_begin(args, state, control)
                            handler.on_pre_optimizer_step(args, state, control)
                            handler.on_optimizer_step(args, state, control)
                            handler.on_step_end(args, state, control)
                        best = min(best, (time.perf_counter() - began) / 100 * 1e6)
                    took[name] = best
                handler.callbacks = callbacks

        trainer = made(run.out, max_steps=3)
        trainer.add_callback(Time())
        trainer.train_dataset.rows = trainer.train_dataset.rows
        callbacks = trainer.callback_handler.callbacks
        trainer.train()
        return took

    return run.attempt(work)


CASES = {
    case.__name__: case
    for case in (as_without, raising, nested, by_hand, no_reading, early, searched, cost)
}


def main(folder, names):
    """Print the answers as one line of JSON."""
    answers = {}
    for name in names or [*CASES, *STOPS]:
        if name in CASES:
            answers[name] = CASES[name](folder)
        else:
            answers[name] = stopped(folder, name, **STOPS[name])
    print("ANSWERS " + json.dumps(answers))


if __name__ == "__main__":
    if sys.argv[2:] == ["upload"]:
        upload(Path(sys.argv[1]))
    main(Path(sys.argv[1]), sys.argv[2:])
