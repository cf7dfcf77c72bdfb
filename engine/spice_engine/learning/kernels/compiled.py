"""Numba behind a typed seam: functions compiled for this CPU, kept in the user's cache folder.

Importing this module does not import numba; the first `njit` does. What it compiles releases the
interpreter lock, checks no bounds and divides as NumPy does.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_KEEP_SECONDS = 60 * 86400
_FAST = frozenset({"nnan", "ninf", "nsz"})
"""What `fastmath` allows: comparisons become plain maxima. Nothing may be rounded otherwise, so
sums keep their order and products are not fused with sums: both back ends give the same bits."""


def cache_folder() -> Path:
    """Where compiled kernels are kept.

    Under NUMBA_CACHE_DIR where that is set, else under the user's cache folder (XDG base directory
    specification). It is named by the sources of the kernels: numba itself does not notice that a
    function in another file has changed.
    """
    own = os.environ.get("NUMBA_CACHE_DIR", "")
    base = os.environ.get("XDG_CACHE_HOME", "")
    home = Path(base) if base.startswith("/") else Path.home() / ".cache"
    root = Path(own) if own else home / "spice-tui" / "kernels"
    return root / _sources()


@cache
def _sources() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def numba() -> Any:
    """The module numba, set up for this product before it compiles anything.

    On CPUs with AVX-512 vectors are 512 bits wide: LLVM would take 256, which costs a fourth.
    """
    module: Any = importlib.import_module("numba")
    folder = cache_folder()
    if _usable(folder):
        module.config.CACHE_DIR = str(folder)
    if platform.machine() in {"x86_64", "AMD64"} and not os.environ.get("NUMBA_CPU_FEATURES"):
        llvm: Any = importlib.import_module("llvmlite.binding")
        features: str = llvm.get_host_cpu_features().flatten()
        if "+avx512f" in features:
            module.config.CPU_FEATURES = f"{features},-prefer-256-bit"
    return module


@cache
def _usable(folder: Path) -> bool:
    """Whether compiled kernels can be kept there; tidies what other versions left long ago."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        tempfile.TemporaryFile(dir=folder).close()
        os.utime(folder)
    except OSError:
        return False
    old = time.time() - _KEEP_SECONDS
    for other in folder.parent.iterdir():
        with suppress(OSError):
            if len(other.name) == len(folder.name) and other.stat().st_mtime < old:
                shutil.rmtree(other)
    return True


def njit(
    function: F,
    *,
    fastmath: bool = False,
    inline: bool = False,
    apart: bool = False,
    python_errors: bool = False,
) -> F:
    """The function compiled at its first call for the types that it is given.

    Compiled code is kept on disk where the user's cache folder can be written, and is found again
    by the function's source, its types and the CPU. With `fastmath` values may be taken for finite
    ones. With `inline` it is part of whatever compiled function calls it. With `apart` no two of
    its array arguments share what is written: LLVM then needs no check of it, and a loop that
    reads one row of a table and writes another stays a vector loop. With `python_errors` a
    division by zero raises as in Python.
    """
    options: dict[str, Any] = {
        "nogil": True,
        "boundscheck": False,
        "error_model": "python" if python_errors else "numpy",
        "fastmath": set(_FAST) if fastmath else False,
    }
    module = numba()
    if inline:
        options["forceinline"] = True
    else:
        options["cache"] = _usable(cache_folder())
    if apart:
        options["pipeline_class"] = _apart_compiler()
    return module.njit(**options)(function)


@cache
def _apart_compiler() -> Any:
    """Numba's compiler, which marks array arguments as not overlapping."""
    base: Any = importlib.import_module("numba.core.compiler").Compiler

    def init(self: Any, typing: Any, target: Any, library: Any, *rest: Any) -> None:
        flags = rest[2]
        flags.noalias = True
        base.__init__(self, typing, target, library, *rest)

    return type("Apart", (base,), {"__init__": init})


@cache
def prefetch() -> Callable[[Any, int], None]:
    """For compiled code: `prefetch(array, index)` has a cache line of an array fetched.

    `array` has one dimension; nothing is read or written, so any index inside it is allowed.
    """
    numba()
    types: Any = importlib.import_module("numba.core.types")
    extending: Any = importlib.import_module("numba.extending")
    arrays: Any = importlib.import_module("numba.np.arrayobj")
    ir: Any = importlib.import_module("llvmlite.ir")

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = arrays.make_array(signature.args[0])(context, builder, args[0])
        byte, whole = ir.IntType(8).as_pointer(), ir.IntType(32)
        place = builder.bitcast(builder.gep(array.data, [args[1]]), byte)
        form = ir.FunctionType(ir.VoidType(), [byte, whole, whole, whole])
        function = builder.module.declare_intrinsic("llvm.prefetch", (byte,), form)
        # To be written, to stay in all caches, data.
        builder.call(function, [place, whole(1), whole(3), whole(1)])
        return context.get_dummy_value()

    def fetch(_typing: Any, array: Any, _index: Any) -> Any:
        return types.void(array, types.intp), generate

    return extending.intrinsic(fetch)
