"""Which live tensor stands for which storage, and whether that still holds; it copies nothing."""

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, NamedTuple

import torch
from torch import Tensor, UntypedStorage
from torch.nn import Buffer, Parameter

from supervisor.torch.structure import Leaves, MismatchError, Shape, UnknownError

_KNOWN_TYPES = (Tensor, Parameter, Buffer)
# The dtypes that copy_ moves bit by bit; all others are moved as bytes.
_COPIED_AS_THEY_ARE = frozenset(
    {
        torch.float64, torch.float32, torch.float16, torch.bfloat16,
        torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
    }
)  # fmt: skip


# The dtypes whose finiteness can be told from their bytes (supervisor.memory.finite_floats).
_FLOATS = frozenset(
    {
        "float32", "float64", "float16", "bfloat16", "complex64", "complex128", "float8_e4m3fn",
        "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz",
    }
)  # fmt: skip


class StoragePlace(NamedTuple):
    """Where the bytes of a storage belong in the file."""

    offset: int
    bytes: int


class _Sort(NamedTuple):
    """What a tensor's pickle depends on besides its storage."""

    types: list[type]
    dtypes: list[torch.dtype]
    shapes: list[torch.Size]
    strides: list[tuple[int, ...]]
    devices: list[torch.device]
    gradients: list[bool]
    negative: list[bool]
    conjugate: list[bool]


class Covering(NamedTuple):
    """A leaf that covers a whole storage without gaps, and its form."""

    leaf: int
    dtype: torch.dtype
    shape: torch.Size
    stride: tuple[int, ...]


class StoragePart(NamedTuple):
    """A leaf that is a view of a storage, or moved as bytes; offsets in items."""

    leaf: int
    offset: int
    bytes: int


class Binding:
    """The tensors of a state, as they were when it was laid out."""

    def __init__(self, shape: Shape, content: Any, storages: list[UntypedStorage]) -> None:
        """Bind the storages of a layout, in its order. Raises UnknownError."""
        self._shape = shape
        tensors = shape.match(content).tensors
        for tensor in tensors:
            _require_known(tensor)
        self._sort = _sort_of(tensors)
        self._places = [tensor.data_ptr() for tensor in tensors]
        self._pattern = _pattern(tensors)
        self._offsets = [tensor.storage_offset() for tensor in tensors]
        numbers = {storage._cdata: number for number, storage in enumerate(storages)}
        self.numbers = [numbers[tensor.untyped_storage()._cdata] for tensor in tensors]
        """For each leaf, which storage it has."""
        # one leaf for each storage that is not empty; a covering leaf if there is one
        chosen: dict[int, Covering | StoragePart] = {}
        for leaf, (number, tensor) in enumerate(zip(self.numbers, tensors, strict=True)):
            one = _look_at(leaf, tensor)
            if number not in chosen or (
                isinstance(one, Covering) and not isinstance(chosen[number], Covering)
            ):
                chosen[number] = one
        filled = [number for number, storage in enumerate(storages) if storage.nbytes()]
        self._chosen = [chosen[number] for number in filled]
        raw = {number for number in filled if isinstance(chosen[number], StoragePart)}
        self._parts = [
            StoragePart(leaf, int(tensor.storage_offset()), storages[number].nbytes())
            for leaf, (number, tensor) in enumerate(zip(self.numbers, tensors, strict=True))
            if number in raw
        ]
        self._pick = _picker([one.leaf for one in self._chosen])

    @property
    def is_on_gpu(self) -> bool:
        """Whether any tensor is on a CUDA device."""
        return any(device.type == "cuda" for device in self._sort.devices)

    def match(self, content: Any) -> Leaves:
        """The leaves of the present state, if its tensors are as before. Raises MismatchError."""
        leaves = self._shape.match(content)
        tensors = leaves.tensors
        # types first: a leaf that is no tensor any more has no dtype, shape or stride
        if list(map(type, tensors)) != self._sort.types or _sort_of(tensors) != self._sort:
            raise MismatchError
        places = list(map(Tensor.data_ptr, tensors))
        if places != self._places:
            self._bind_anew(tensors, places)
        for part in self._parts:
            tensor = tensors[part.leaf]
            storage = tensor.untyped_storage()
            if tensor.storage_offset() != part.offset or storage.nbytes() != part.bytes:
                raise MismatchError
        return leaves

    def sources(self, leaves: Leaves) -> list[Tensor]:
        """What to copy for each storage that is not empty."""
        sources = list(self._pick(leaves.tensors))
        if self._parts:
            for index, one in enumerate(self._chosen):
                if isinstance(one, StoragePart):
                    sources[index] = raw_bytes(sources[index].untyped_storage())
        return sources

    def views(self, raw: list[Tensor]) -> list[Tensor]:
        """The places' bytes, each in the form of its source."""
        return [
            memory.view(one.dtype).as_strided(one.shape, one.stride)
            if isinstance(one, Covering)
            else memory
            for memory, one in zip(raw, self._chosen, strict=True)
        ]

    def weights(
        self, content: Any, is_weight: Callable[[Tensor], bool], places: list[StoragePlace]
    ) -> list[tuple[str, int, int]]:
        """Which bytes of the file must be finite floats: (dtype, offset, bytes)."""
        found: dict[int, tuple[str, int, int]] = {}
        for number, tensor in zip(self.numbers, self._shape.match(content).tensors, strict=True):
            name = str(tensor.dtype).removeprefix("torch.")
            place = places[number]
            if name in _FLOATS and place.bytes and is_weight(tensor):
                whole = place.bytes - place.bytes % tensor.element_size()
                found[number] = (name, place.offset, whole)
        return list(found.values())

    def _bind_anew(self, tensors: list[Tensor], places: list[int]) -> None:
        """Take tensors that have moved (`p.data = …`), if they share storages as before."""
        covering = {one.leaf for one in self._chosen if isinstance(one, Covering)}
        for leaf, (now, before) in enumerate(zip(places, self._places, strict=True)):
            if now != before and leaf in covering:
                tensor = tensors[leaf]
                if tensor.untyped_storage().nbytes() != tensor.nbytes:
                    raise MismatchError
        offsets = [tensor.storage_offset() for tensor in tensors]
        if offsets != self._offsets or _pattern(tensors) != self._pattern:
            raise MismatchError
        self._places = places


def raw_bytes(storage: UntypedStorage) -> Tensor:
    """A storage's own bytes as a tensor, whatever views there are of it."""
    empty = torch.empty(0, dtype=torch.uint8, device=storage.device)
    return empty.set_(storage)


def _sort_of(tensors: list[Tensor]) -> _Sort:
    return _Sort(
        list(map(type, tensors)),
        [tensor.dtype for tensor in tensors],
        [tensor.shape for tensor in tensors],
        list(map(Tensor.stride, tensors)),
        [tensor.device for tensor in tensors],
        [tensor.requires_grad for tensor in tensors],
        list(map(Tensor.is_neg, tensors)),
        list(map(Tensor.is_conj, tensors)),
    )


def _pattern(tensors: Iterable[Tensor]) -> list[int]:
    """For each tensor, the index of the first one with its storage; -1 if that has no bytes."""
    first: dict[int, int] = {}
    pattern = []
    for index, tensor in enumerate(tensors):
        storage = tensor.untyped_storage()
        pattern.append(first.setdefault(storage._cdata, index) if storage.nbytes() else -1)
    return pattern


def _picker(leaves: list[int]) -> Any:
    if not leaves:
        return lambda _: ()
    # itemgetter of one index returns no tuple
    return itemgetter(*leaves) if len(leaves) > 1 else lambda tensors: (tensors[leaves[0]],)


def _look_at(leaf: int, tensor: Tensor) -> Covering | StoragePart:
    is_plain = tensor.dtype in _COPIED_AS_THEY_ARE and not tensor.is_neg()
    if is_plain and tensor.untyped_storage().nbytes() == tensor.nbytes and _is_dense(tensor):
        return Covering(leaf, tensor.dtype, tensor.shape, tensor.stride())
    return StoragePart(leaf, int(tensor.storage_offset()), tensor.untyped_storage().nbytes())


def _is_dense(tensor: Tensor) -> bool:
    """Whether its items lie side by side and each once, in whatever order."""
    expected = 1
    for stride, length in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if length != 1:
            if stride != expected:
                return False
            expected *= length
    return True


def _require_known(tensor: Tensor) -> None:
    if type(tensor) not in _KNOWN_TYPES or tensor.layout is not torch.strided:
        raise UnknownError(f"a {type(tensor).__name__}")
    if tensor.is_quantized or tensor.device.type == "meta" or tensor.__dict__:
        raise UnknownError("a tensor with more than its data")
