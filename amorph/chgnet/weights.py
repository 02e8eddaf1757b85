"""The weights of a CHGNet model: found, identified by their sha256, and read without running code from the file."""

import hashlib
import importlib.util
import io
import math
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

STOCK_FILES = {
    "0.3.0": "0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar",
    "r2scan": "r2scan/chgnet_r2scan_transfer_learning_e15f36s161m23.pth.tar",
    "0.2.0": "0.2.0/chgnet_0.2.0_e30f77s348m32.pth.tar",
}

KNOWN_SHA256 = {
    "d14ab7c0f093efe64b60a7bcd540bca10e74fb7f46c86108a079af60524659d1": "0.3.0",
    "8eba3db0f35a2788bb3ae22885ad340591e27996f213c6643af522a633b50dad": "r2scan",
    "ef624f78b6db9d315b4ef256f1bb3207449924191b91720dc17d3f60c5df980e": "0.2.0",
}
"""The files of chgnet 0.4.2, which need no trust."""

MAX_ELEMENT = 94
"""Plutonium, the heaviest element that CHGNet embeds."""


_LARGEST_PICKLE = 2_000_000
"""Size of the part of a file that says which tensors there are [bytes]; the known files have 70 000."""
_MOST_PARTS = 100_000
"""Files within the archive; the known ones have 520."""
_MOST_AXES = 8


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A CHGNet file: the arguments that rebuild the model, and its arrays."""

    name: str
    """Stock name, or the path of a user's file."""
    path: Path
    sha256: str
    arguments: dict[str, Any]
    arrays: dict[str, NDArray[np.float32]]


def load_checkpoint(model: str | Path, *, trust: bool = False, sha256: str | None = None) -> Checkpoint:
    """Find, identify and read a model.

    Parameters
    ----------
    model
        "0.3.0", "r2scan" or "0.2.0" from the chgnet package, or the path of a fine-tuned ``.pth.tar``.
    trust
        Accept a file whose sha256 is unknown.
    sha256
        The digest that a user's file must have; takes the place of `trust`.

    Raises
    ------
    ValueError
        The file is missing, is none of the known files and not trusted, has another digest, is no CHGNet model,
        or holds weights that are not finite.
    """
    path = _path_of(model)
    content = path.read_bytes()  # once: what is identified is what is read
    digest = hashlib.sha256(content).hexdigest()
    if sha256 is not None and digest != sha256.lower():
        raise ValueError(f"{path} has the sha256 {digest}, not {sha256.lower()}; check where the file came from")
    known = KNOWN_SHA256.get(digest)
    if known is None and sha256 is None and not trust:
        raise ValueError(
            f"{path} is no known CHGNet file, its weights are unknown; pass trust=True if you trust its origin, "
            f"or sha256='{digest}'"
        )
    arguments, arrays = _read(path, content)
    return Checkpoint(known or str(path), path, digest, arguments, arrays)


def _path_of(model: str | Path) -> Path:
    if str(model) in STOCK_FILES:
        found = importlib.util.find_spec("chgnet")
        if found is None or not found.submodule_search_locations:
            raise ValueError(f"the model {model} comes with the chgnet package, which is missing; pip install chgnet")
        return Path(found.submodule_search_locations[0]) / "pretrained" / STOCK_FILES[str(model)]
    path = Path(model)
    if not path.is_file():
        raise ValueError(
            f"no CHGNet model '{model}': it is neither a file nor one of {', '.join(STOCK_FILES)}; give one of them"
        )
    return path


class _Inert:
    """Stands for every class in the file that the weights do not need."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        """Leave an item of what is a dictionary elsewhere."""


_STORAGE_TYPES = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "BoolStorage": np.bool_,
}


class _Unpickler(pickle.Unpickler):
    """Reads tensors as numpy arrays; nothing named in the file is imported or called."""

    def __init__(self, archive: zipfile.ZipFile, root: str, size: int) -> None:
        if archive.getinfo(f"{root}/data.pkl").file_size > _LARGEST_PICKLE:
            raise ValueError("the list of tensors is too long")
        content = archive.read(f"{root}/data.pkl")
        for number, (code, argument, _) in enumerate(pickletools.genops(content)):
            # The table of what was met before is made as long as the largest number asks for.
            if code.name in {"PUT", "BINPUT", "LONG_BINPUT"} and int(argument or 0) > number:
                raise ValueError("a number beyond what was read before")
        super().__init__(io.BytesIO(content))
        self._archive = archive
        self._root = root
        self._storages: dict[str, bytes] = {}
        self._room = _Room(size)
        self._rebuild = _Rebuild(_Room(size))

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) in {("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_parameter")}:
            return self._rebuild if name == "_rebuild_tensor_v2" else _First()
        if module == "torch" and name in _STORAGE_TYPES:
            return _STORAGE_TYPES[name]
        return _Inert

    def persistent_load(self, pid: Any) -> NDArray[Any] | _Inert:
        _, dtype, key, _, _ = pid
        if dtype is _Inert:  # a type that no weight has
            return _Inert()
        if key not in self._storages:
            self._room.take(self._archive.getinfo(f"{self._root}/data/{key}").file_size)
            self._storages[key] = self._archive.read(f"{self._root}/data/{key}")
        return np.frombuffer(self._storages[key], dtype=dtype)


class _Room:
    """What all storages of a file, or all tensors, may take together: what the file has [bytes]."""

    __slots__ = ("_left",)

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int) -> None:
        """Take a part, or refuse."""
        self._left -= size
        if self._left < 0:
            raise ValueError("the tensors together are larger than the file")


class _Rebuild:
    """Lays a tensor over its storage: no number of the file may reach memory beyond it, or take more than it holds.

    An object that takes no attributes, not a function: a pickle can set attributes of what it is given.
    """

    __slots__ = ("_room",)
    _room: _Room

    def __init__(self, room: _Room) -> None:
        object.__setattr__(self, "_room", room)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a file sets nothing here")

    def __call__(
        self, storage: NDArray[Any] | _Inert, offset: int, shape: Any, stride: Any, *_: Any
    ) -> NDArray[Any] | _Inert:
        """Return the tensor as a new array."""
        if isinstance(storage, _Inert):
            return storage
        if not isinstance(storage, np.ndarray):
            raise TypeError("a tensor has no storage")
        if max(len(shape), len(stride)) > _MOST_AXES:
            raise ValueError("a tensor has too many axes")
        shape, stride = tuple(map(index, shape)), tuple(map(index, stride))
        if min((index(offset), *shape, *stride)) < 0 or math.prod(shape) > storage.size:
            raise ValueError("a tensor does not fit its storage")
        if 0 not in shape and offset + sum((n - 1) * s for n, s in zip(shape, stride, strict=True)) >= storage.size:
            raise ValueError("a tensor reaches beyond its storage")
        self._room.take(math.prod(shape) * storage.itemsize)
        strides = tuple(s * storage.itemsize for s in stride)
        return np.lib.stride_tricks.as_strided(storage[offset:], shape, strides).copy()


class _First:
    """Takes the tensor of a parameter, and leaves the rest."""

    __slots__ = ()

    def __call__(self, array: Any, *_: Any) -> Any:
        """Return the tensor."""
        return array


def _read(path: Path, content: bytes) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    try:
        if content.count(b"PK\x01\x02") > _MOST_PARTS:
            raise ValueError("an archive of too many parts")
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise TypeError("compressed, which torch never does: a small file could fill the memory")
            root = next(name for name in archive.namelist() if name.endswith("/data.pkl")).rpartition("/")[0]
            model = _Unpickler(archive, root, len(content)).load()["model"]
        arguments, state = dict(model["model_args"]), dict(model["state_dict"])
        if not all(isinstance(name, str) and isinstance(array, np.ndarray) for name, array in state.items()):
            raise TypeError("a weight is no tensor")
        if not _is_plain(arguments):
            raise TypeError("an argument is no plain value")
        arrays = {name: np.asarray(array, dtype=np.float32) for name, array in state.items()}
    except MemoryError:
        raise
    except Exception:  # a garbled archive or pickle raises what it likes
        raise ValueError(
            f"{path} is no CHGNet model; give a .pth.tar with 'model' (state_dict and model_args), as chgnet saves it"
        ) from None
    # A gate would take a NaN for a number: the exponential of the kernels is limited by minimum and maximum.
    if broken := [name for name, array in arrays.items() if not np.isfinite(array).all()]:
        raise ValueError(f"{path} holds weights that are not finite ({broken[0]}): the fit has diverged; take another")
    return arguments, arrays


def _is_plain(value: Any) -> bool:
    """Say whether a value is made of numbers, texts, lists and dicts alone; each part is looked at once."""
    seen, left = set(), [value]
    while left:
        part = left.pop()
        if isinstance(part, Mapping | list | tuple):
            if id(part) not in seen:
                seen.add(id(part))
                left += [*part.keys(), *part.values()] if isinstance(part, Mapping) else part
        elif not (part is None or isinstance(part, bool | int | float | str)):
            return False
    return True
