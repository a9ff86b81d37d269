"""Pickles that run code when they are loaded, in each place where a checkpoint has pickles."""

import io
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tests.checkpoint.conftest import as_json


class Call:
    """An object whose pickle calls a function with arguments, then sets the state."""

    def __init__(self, function: object, *arguments: object, state: object = None) -> None:
        self._reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> object:
        return self._reduced


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _text(text: str) -> bytes:
    return b"X" + len(text.encode()).to_bytes(4, "little") + text.encode()


def payloads(canary: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and bytes of each pickle; loading one without care makes the file `canary`."""
    touch = f"touch {canary}"
    code = f"open({str(canary)!r}, 'w').close()"
    calls = {
        "os.system": (("posix", "system"), [touch]),
        "eval": (("builtins", "eval"), [code]),
        "exec": (("builtins", "exec"), [code]),
        "open": (("builtins", "open"), [str(canary), "w"]),
        "getoutput": (("subprocess", "getoutput"), [touch]),
        "runpy": (("runpy", "_run_code"), [code]),
        "pty": (("pty", "spawn"), [touch]),
        "code": (("code", "InteractiveInterpreter"), []),
        "torch.hub": (("torch.hub", "_exec_module"), [code]),
        "torch.jit": (("torch.jit.unsupported_tensor_ops", "execWrapper"), [code]),
        "torch.typename": (("torch._dynamo.guards", "eval"), [code]),
        "numpy": (("numpy.testing._private.utils", "runstring"), [code, "{}"]),
        "dotted": (("torch", "serialization.os.system"), [touch]),
    }
    for name, ((module, function), arguments) in calls.items():
        words = b"".join(map(_text, arguments))
        yield name, b"\x80\2" + _global(module, function) + b"(" + words + b"tR."
        yield (
            f"{name} by stack",
            (b"\x80\4" + _text(module) + _text(function) + b"\x93(" + words + b"tR."),
        )
        yield (
            f"{name} by object",
            (b"\x80\2" + _global(module, function) + b"(" + words + b"t\x81."),
        )
        yield f"{name} by instance", b"(" + words + f"i{module}\n{function}\n.".encode()
    first, (module, function) = "os.system", ("posix", "system")
    state = b"}" + _text("__setstate__") + _global(module, function) + b"s"
    yield (
        f"{first} by state",
        (
            b"\x80\2"
            + _global("collections", "OrderedDict")
            + b")R"
            + state
            + b"b"
            + _text(touch)
            + b"b."
        ),
    )
    yield "a list that calls", pickle.dumps([Call(exec, code), Call(print)])
    yield "a call deep inside", pickle.dumps({"a": {"b": [({"c": Call(exec, code)},)]}})


def checkpoints(canary: Path, good: bytes) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield a name and the files of a checkpoint that holds a hostile pickle.

    `good`: an archive by torch.save, whose pickle is exchanged.
    """
    state = as_json(global_step=5, current_epoch=0)
    for name, payload in payloads(canary):
        archive = exchanged(good, payload)
        legacy = b"".join(
            pickle.dumps(one, 2) for one in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
        )
        for kind, files in {
            "archive": {"model.pt": archive, "training_state.json": state},
            "legacy": {"model.pt": legacy + payload, "training_state.json": state},
            "bare": {"model.pt": payload, "training_state.json": state},
            "others": {
                "random_states_0.pkl": payload, "optimizer.bin": payload, "rng_state.pth": archive,
                ".metadata": payload, "__0_0.distcp": archive, "last.ckpt": archive,
                "trainer_state.json": state,
            },
            "no json": {"model.pt": good, "training_state.json": payload},
            "manifest": {"model.pt": good, "manifest.json": payload, "training_state.json": state},
        }.items():  # fmt: skip
            yield f"{name}, {kind}", files


def exchanged(good: bytes, payload: bytes) -> bytes:
    """The same archive with another pickle in it and right CRCs."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            data = payload if info.filename.endswith("data.pkl") else old.read(info)
            new.writestr(info.filename, data)
    return target.getvalue()
