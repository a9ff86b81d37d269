"""What torch.save would write for an object, without its data: the pickle and the storages.

It changes nothing, and it reads no tensor's content.
"""

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import UntypedStorage

PROTOCOL = 2


class Pickled(NamedTuple):
    """A pickle as torch makes it, and each storage that it names, in the order of the archive."""

    data: bytes
    storages: dict[str, UntypedStorage]


class _Done(Exception):  # noqa: N818 - a control signal, not an error
    """The pickle is made; torch.save need not go on."""


def pickle_only(content: Any) -> Pickled:
    """Make the pickle of an object and write nothing. Raises what pickling raises."""
    catch = _Catch(pad_to=None)
    try:
        torch.save(content, io.BytesIO(), pickle_module=catch.module, pickle_protocol=PROTOCOL)
    except _Done:
        assert catch.result is not None
        return catch.result
    raise AssertionError("torch.save did not use the pickler that it was given")


def write_without_data(
    content: Any, path: Path, capacity: Callable[[int], int]
) -> tuple[Pickled, int]:
    """Save to `path` with holes where the storages' bytes belong.

    `capacity` tells how many bytes a pickle of that length gets. Zeros fill the rest: they are
    behind the pickle's STOP, so they are never read. Returns the pickle and that number of bytes.
    Raises OSError and what pickling raises.
    """
    catch = _Catch(pad_to=capacity)
    with torch.serialization.skip_data():
        torch.save(content, path, pickle_module=catch.module, pickle_protocol=PROTOCOL)
    assert catch.result is not None
    return catch.result, capacity(len(catch.result.data))


class _Catch:
    """A pickle module whose Pickler keeps what passes through torch's persistent_id."""

    def __init__(self, pad_to: Callable[[int], int] | None) -> None:
        self.result: Pickled | None = None
        catch = self

        class Pickler(pickle.Pickler):
            """torch derives its own Pickler from this one, to name the storages."""

            _sink: io.BytesIO
            _storages: dict[str, UntypedStorage]

            def __init_subclass__(cls) -> None:
                name = cls.persistent_id

                def persistent_id(self: Any, obj: Any) -> Any:
                    named = name(self, obj)
                    if named is not None:
                        self._storages[named[2]] = getattr(obj, "_untyped_storage", obj)
                    return named

                cls.persistent_id = persistent_id  # type: ignore[method-assign]

            def __init__(self, file: Any, protocol: int) -> None:
                super().__init__(file, protocol=protocol)
                self._sink = file
                self._storages = {}

            def dump(self, obj: Any) -> None:
                super().dump(obj)
                data = self._sink.getvalue()
                catch.result = Pickled(data, self._storages)
                if pad_to is None:
                    raise _Done
                self._sink.write(bytes(pad_to(len(data)) - len(data)))

        # besides the Pickler, torch reads only the name of a pickle module
        self.module = SimpleNamespace(Pickler=Pickler, __name__="pickle")
