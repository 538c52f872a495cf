"""Which failures are a GPU's lack of memory, and that nothing is held afterwards."""

from __future__ import annotations

import sys
import types
import weakref

import pytest

from compox_core.tasks.memory import (
    asked_for,
    device_memory_error,
    free_device_memory,
    is_device_out_of_memory,
    let_go,
)

CUDA = (
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 139.72 GiB of which 3.19 GiB is "
    "free. Including non-PyTorch memory, this process has 136.53 GiB memory in use."
)
MPS = (
    "MPS backend out of memory (MPS allocated: 17.97 GB, other allocations: 1.02 MB, max allowed: 18.13 GB). Tried to "
    "allocate 1.25 GB on private pool. Use PYTORCH_MPS_HIGH_WATERMARK_RATIO=0.0 to disable upper limit."
)


def torch_class(module: str = "torch", base: type[Exception] = RuntimeError) -> type[Exception]:
    """Return a class named as PyTorch's is."""
    return type("OutOfMemoryError", (base,), {"__module__": module})


@pytest.mark.parametrize("module", ["torch", "torch.cuda", "cupy.cuda.memory"])
def test_the_classes_of_libraries_are_known(module: str) -> None:
    """Whatever the message; those that derive from them too."""
    cls = torch_class(module)
    assert is_device_out_of_memory(cls("whatever"))
    assert is_device_out_of_memory(type("Mine", (cls,), {})("whatever"))
    assert not is_device_out_of_memory(torch_class("mine")("whatever"))


@pytest.mark.parametrize(
    "message",
    [
        CUDA,
        MPS,
        "HIP out of memory. Tried to allocate 2.00 MiB",
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API call",
        "CUDA driver error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "CUDA_ERROR_OUT_OF_MEMORY: out of memory",
        "cudaErrorMemoryAllocation: out of memory",
    ],
)
def test_what_gpu_libraries_say_is_known(message: str) -> None:
    """As the text of a RuntimeError, not of any other exception."""
    assert is_device_out_of_memory(RuntimeError(message))
    assert not is_device_out_of_memory(ValueError(message))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 40 bytes."),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("out of memory"),
        OSError("Cannot allocate memory"),
    ],
)
def test_other_failures_are_not(error: Exception) -> None:
    """The processor's memory among them: unloading models would not help the GPU."""
    assert not is_device_out_of_memory(error)


def test_an_exception_without_a_message_is_no_obstacle() -> None:
    """Its own method raises."""

    class Mute(RuntimeError):
        def __str__(self) -> str:
            raise ValueError("no")

    assert not is_device_out_of_memory(Mute())


def failed(how: str) -> Exception:
    """Return an exception that came from a lack of memory, as `how` says."""
    source = torch_class()(CUDA)
    try:
        try:
            raise source
        except RuntimeError as error:
            if how == "cause":
                raise ValueError("could not predict") from error
            if how == "context":
                raise ValueError("could not clean up")  # noqa: B904 - that is what is tried here
            if how == "dropped":
                raise ValueError("something else") from None
            raise ExceptionGroup("two", [ValueError("one"), error]) from None
    except Exception as error:
        return error


@pytest.mark.parametrize(("how", "found"), [("cause", True), ("context", True), ("group", True), ("dropped", False)])
def test_what_a_failure_came_from_counts(how: str, found: bool) -> None:
    """As far as a traceback would show it."""
    error = failed(how)
    assert is_device_out_of_memory(error) is found
    assert (type(device_memory_error(error)).__name__ == "OutOfMemoryError") is found


def test_a_chain_that_leads_back_to_itself_ends() -> None:
    """Python allows it."""
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert not is_device_out_of_memory(one)


@pytest.mark.parametrize(
    ("message", "asked"),
    [
        (CUDA, "20.00 GiB"),
        (MPS, "1.25 GB"),
        ("CUDA out of memory. Tried to allocate 512 bytes", "512 bytes"),
        ("Out of memory allocating 1,000,000 bytes (allocated so far: 0 bytes).", "1,000,000 bytes"),
        ("CUDA error: out of memory", None),
    ],
)
def test_the_message_says_what_was_asked_for(message: str, asked: str | None) -> None:
    """PyTorch names the amount, drivers do not."""
    assert asked_for(RuntimeError(message)) == asked


class Tensor:
    """Stands for memory of a GPU."""


def test_nothing_is_held_by_an_exception_that_was_let_go() -> None:
    """Neither by its own traceback nor by that of its cause, though somebody keeps the exception."""
    seen: list[weakref.ref[Tensor]] = []

    def inner() -> None:
        tensor = Tensor()
        seen.append(weakref.ref(tensor))
        raise torch_class()(CUDA)

    def outer() -> None:
        tensor = Tensor()
        seen.append(weakref.ref(tensor))
        try:
            inner()
        except RuntimeError as error:
            raise ValueError("could not predict") from error

    kept: list[Exception] = []
    try:
        outer()
    except ValueError as error:
        kept.append(error)
    assert [ref() is not None for ref in seen] == [True, True]
    let_go(kept[0])
    free_device_memory()
    assert [ref() for ref in seen] == [None, None]


class Fake(types.ModuleType):
    """PyTorch, as far as memory is concerned; notes what is called."""

    def __init__(self, cuda: bool = False, initialized: bool = False, mps: bool = False, broken: bool = False) -> None:
        super().__init__("torch")
        self.calls: list[str] = []

        def empty(which: str) -> None:
            self.calls.append(which)
            if broken:
                raise RuntimeError("CUDA error: an illegal memory access was encountered")

        self.cuda = types.SimpleNamespace(
            is_available=lambda: cuda, is_initialized=lambda: initialized, empty_cache=lambda: empty("cuda")
        )
        self.mps = types.SimpleNamespace(empty_cache=lambda: empty("mps"))
        self.backends = types.SimpleNamespace(mps=types.SimpleNamespace(is_available=lambda: mps))


@pytest.mark.parametrize(
    ("fake", "calls"),
    [
        (Fake(), []),
        (Fake(cuda=True), []),
        (Fake(cuda=True, initialized=True), ["cuda"]),
        (Fake(mps=True), ["mps"]),
        (Fake(cuda=True, initialized=True, broken=True), ["cuda"]),
    ],
)
def test_the_memory_that_pytorch_keeps_is_given_back(
    fake: Fake, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a GPU is in use, which is not begun for that; a GPU that refuses does no harm."""
    monkeypatch.setitem(sys.modules, "torch", fake)
    free_device_memory()
    assert fake.calls == calls


@pytest.mark.slow
def test_the_processors_memory_is_told_from_a_gpus_with_pytorch_itself() -> None:
    """What its allocator on the processor raises is none of a GPU's; its class for GPUs is known by its name."""
    torch = pytest.importorskip("torch")
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator") as caught:
        torch.empty(1 << 50)
    assert not is_device_out_of_memory(caught.value)
    assert is_device_out_of_memory(torch.cuda.OutOfMemoryError("whatever"))
    free_device_memory()
