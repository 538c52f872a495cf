"""The memory of an accelerator: when it was not enough, and giving it back."""

from __future__ import annotations

import gc
import logging
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType

from compox_core.records.plain import said

logger = logging.getLogger(__name__)

OUT_OF_MEMORY_CLASSES = frozenset(
    {
        ("torch", "OutOfMemoryError"),
        ("torch.cuda", "OutOfMemoryError"),
        ("torch._C", "OutOfMemoryError"),
        ("cupy.cuda.memory", "OutOfMemoryError"),
    }
)
# What PyTorch's allocators, the CUDA driver and runtime, and its libraries say, all as some RuntimeError.
OUT_OF_MEMORY_TEXT = re.compile(
    r"(CUDA|HIP|XPU|MPS backend) out of memory"
    r"|(CUDA|HIP)( driver| runtime)? error: ([a-z ]*: )?out of memory"
    r"|(CUDA_ERROR|cudaError|hipError)_?(OUT_OF_MEMORY|MemoryAllocation|OutOfMemory)"
    r"|CU[A-Z]+_STATUS_ALLOC_FAILED"
)
ASKED_TEXT = re.compile(r"[Tt]ried to allocate ([0-9.]+ ?[KMGT]?i?(?:B|bytes))|[Aa]llocating ([0-9,]+ bytes)")


def is_device_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception, or one that it came from, says that the memory of a GPU was not enough.

    The processor's memory is another matter: a MemoryError, or what PyTorch's allocator there raises, is none.
    """
    return device_memory_error(error) is not None


def device_memory_error(error: BaseException) -> BaseException | None:
    """Return the exception, of all that led to `error`, that says that the memory of a GPU was not enough."""
    return next((one for one in linked(error) if _says_so(one)), None)


def asked_for(error: BaseException) -> str | None:
    """Return how much memory was asked for, with its unit, where the message tells it."""
    found = ASKED_TEXT.search(said(error))
    return None if found is None else found.group(1) or found.group(2)


def linked(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all that a traceback would show with it, each once."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [None if one.__suppress_context__ else one.__context__, one.__cause__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions


def let_go(error: BaseException) -> None:
    """Drop the local variables of all functions that an exception came through: tensors, models and images."""
    for one in list(linked(error)):
        with suppress(Exception):  # an exception that lets nobody touch it keeps what it holds
            found, one.__traceback__ = one.__traceback__, None
            traceback.clear_frames(found)


def free_device_memory() -> None:
    """Give memory back that nobody holds any more, that of a GPU too, which PyTorch keeps for itself otherwise."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is None:
        return
    try:
        _empty_cache(torch)
    except Exception as problem:  # a GPU in a bad state refuses everything; what is done next will say so better
        logger.warning("The memory of the GPU could not be freed: %s", problem)


def _empty_cache(torch: ModuleType) -> None:
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


def _says_so(error: BaseException) -> bool:
    for cls in type(error).__mro__:
        if (cls.__module__, cls.__name__) in OUT_OF_MEMORY_CLASSES:
            return True
    return isinstance(error, RuntimeError) and OUT_OF_MEMORY_TEXT.search(said(error)) is not None
