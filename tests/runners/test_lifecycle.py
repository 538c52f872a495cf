"""What an author may rely on: attributes of a run, shared assets, constructors, threads."""

from __future__ import annotations

import gc
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from compox_core.errors import AlgorithmError, StateError
from compox_core.runners import (
    BaseRunner,
    Image2ImageRunner,
    LoadedRunner,
    current_handler,
    current_runner_context,
)


class Desk:
    """The least of a task: it notes what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.progress: list[float] = []

    def log_message(self, message: str, logging_level: str = "INFO") -> None:
        self.lines.append(f"{logging_level} {message}")

    def set_progress(self, progress: float) -> None:
        self.progress.append(progress)


def loaded(cls: type[BaseRunner], device: str = "cpu") -> LoadedRunner:
    runner = LoadedRunner(cls, device)
    runner.load(Desk())  # type: ignore[arg-type]
    return runner


def run(runner: LoadedRunner, desk: Any = None) -> Any:
    return runner.run(desk or Desk())


def test_each_run_has_an_instance_of_its_own() -> None:
    """An attribute that one run sets is unknown to the next."""

    class Runner(BaseRunner):
        counter = 0

        def work(self) -> int:
            self.counter += 1
            self.note = "mine"
            return self.counter

    runner = loaded(Runner)
    with run(runner) as first:
        assert first.work() == 1
        with run(runner) as second:
            assert second is not first
            assert not hasattr(second, "note")
            assert second.work() == 1


def test_assets_are_loaded_once_shared_and_locked() -> None:
    """What load_assets sets is the same object in every run; it can be neither set again nor deleted."""
    loads = []

    class Runner(BaseRunner):
        def load_assets(self) -> None:
            loads.append(1)
            self.model = [1, 2, 3]
            self.__dict__["behind"] = "the back of setattr"

    runner = loaded(Runner)
    with run(runner) as first, run(runner) as second:
        assert first.model is second.model
        assert first.behind == "the back of setattr"
        with pytest.raises(AttributeError, match="load_assets"):
            first.model = []
        with pytest.raises(AttributeError, match="load_assets"):
            del first.model
        first.model.append(4)
        assert second.model == [1, 2, 3, 4]
    assert loads == [1]


def test_a_placeholder_of_the_constructor_does_not_wipe_an_asset() -> None:
    """`self.model = None` in `__init__` is harmless, also while assets load."""
    seen = []

    class Runner(BaseRunner):
        def __init__(self) -> None:
            super().__init__()
            self.model = None
            self.mine: list[int] = []

        def load_assets(self) -> None:
            self.model = 5
            seen.append(self.model)

    runner = loaded(Runner)
    assert seen == [5]
    with run(runner) as one, run(runner) as other:
        assert one.model == 5
        assert one.mine is not other.mine


@pytest.mark.parametrize("style", ["none", "plain", "defaulted", "tutorial", "keyword", "optional"])
def test_every_constructor_form_is_served(style: str) -> None:
    """No constructor, one without parameters, one with defaults, and those of the tutorials all work."""

    class Base(BaseRunner):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)

    class Plain(BaseRunner):
        def __init__(self) -> None:
            super().__init__()
            self.seen: Any = ("plain", self.device)

    class Defaulted(BaseRunner):
        def __init__(self, x: int = 3) -> None:
            self.seen = x

    class Tutorial(BaseRunner):
        def __init__(self, task_handler: Any, device: str = "cpu") -> None:
            super().__init__(task_handler, device)
            self.seen = (task_handler is self.task_handler, device)

    class Keyword(BaseRunner):
        def __init__(self, task_handler: Any, device: str = "cpu") -> None:
            super().__init__(task_handler, device=device)
            self.seen = (task_handler is self.task_handler, device)

    class Optional(BaseRunner):
        def __init__(self, task_handler: Any = None, device: str = "cpu") -> None:
            super().__init__(task_handler, device)
            self.seen = (task_handler is self.task_handler, device)

    cls = {"none": Base, "plain": Plain, "defaulted": Defaulted, "tutorial": Tutorial}.get(
        style, Keyword if style == "keyword" else Optional
    )
    expected = {"none": None, "plain": ("plain", "cuda"), "defaulted": 3}.get(style, (True, "cuda"))
    with run(loaded(cls, "cuda")) as instance:
        assert instance.device == "cuda"
        assert getattr(instance, "seen", None) == expected


def test_a_constructor_that_asks_for_more_is_refused() -> None:
    """The error names the parameter that nobody can give."""

    class Runner(BaseRunner):
        def __init__(self, weights: str) -> None:
            self.weights = weights

    with pytest.raises(AlgorithmError, match="weights") as caught:
        loaded(Runner)
    assert caught.value.code == "runner_constructor_unsupported"


def test_threads_that_share_a_cached_runner_do_not_mix() -> None:
    """Eight threads with a hundred runs each read back what their own run wrote, in their own threads too."""

    class Runner(BaseRunner):
        def load_assets(self) -> None:
            self.table = list(range(10))

        def work(self, value: int) -> tuple[int, int, int]:
            self.value = value
            inner = []
            thread = threading.Thread(target=lambda: inner.append(self.value))
            thread.start()
            thread.join()
            return self.value, inner[0], self.table[value % 10]

    runner = loaded(Runner)

    def many(start: int) -> list[tuple[int, int, int]]:
        results = []
        for value in range(start, start + 100):
            with run(runner) as instance:
                results.append(instance.work(value))
        return results

    with ThreadPoolExecutor(8) as pool:
        for start, results in zip(range(0, 800, 100), pool.map(many, range(0, 800, 100)), strict=True):
            assert results == [(v, v, v % 10) for v in range(start, start + 100)]


def test_a_thread_of_the_algorithm_can_log_and_report() -> None:
    """The task is reached from a thread that the algorithm starts, without any context being copied."""

    class Runner(BaseRunner):
        def work(self) -> None:
            thread = threading.Thread(target=lambda: (self.set_progress(np.float32(0.5)), self.log_message("hello")))
            thread.start()
            thread.join()

    desk = Desk()
    with run(loaded(Runner), desk) as instance:
        instance.work()
    assert desk.lines == ["INFO hello"]
    assert desk.progress == [0.5]


def test_a_hook_captured_while_loading_serves_the_run_that_goes_on() -> None:
    """A callback that holds the loaded instance writes into, and reads from, the present run."""

    class Runner(BaseRunner):
        def __init__(self) -> None:
            self.features: list[int] = []

        def load_assets(self) -> None:
            def hook(value: int) -> str:
                self.last = value
                self.features.append(value)
                self.log_message(f"hook {value}")
                return self.device

            self.model = hook

        def work(self, value: int) -> tuple[int, list[int]]:
            self.model(value)
            return self.last, self.features

    runner = loaded(Runner)

    def one(value: int) -> Any:
        desk = Desk()
        with run(runner, desk) as instance:
            return instance.work(value), desk.lines

    with ThreadPoolExecutor(4) as pool:
        for value, result in enumerate(pool.map(one, range(50))):
            assert result == ((value, [value]), [f"INFO hook {value}"])


def test_a_hook_outside_any_run_says_so() -> None:
    """Writing to the loaded instance when nothing runs is an error that says what to do."""
    kept = []

    class Runner(BaseRunner):
        def load_assets(self) -> None:
            kept.append(self)

    loaded(Runner)
    with pytest.raises(StateError, match="copy_context"):
        kept[0].late = 1
    with pytest.raises(StateError, match="debug run"):
        kept[0].task_handler.log_message("x")


@pytest.mark.parametrize("name", ["device", "task_handler", "runner_context"])
def test_host_properties_cannot_be_set(name: str) -> None:
    """The three names that the host owns are read-only, as they always were."""
    with run(loaded(BaseRunner)) as instance, pytest.raises(AttributeError):
        setattr(instance, name, 1)


def test_a_typed_runner_s_own_hooks_may_be_called_without_args() -> None:
    """`super().preprocess(input_data)` and `super().postprocess(data)`, as existing algorithms write them, work."""
    image = np.ones((2, 3), np.uint8)

    class Files(Desk):
        def fetch_data(self, file_ids: Any, *_: Any, **__: Any) -> Any:
            return [{"image": image} for _ in file_ids]

        def post_data(self, data: Any, *_: Any, **__: Any) -> list[str]:
            return [f"{item['image'].sum()}" for item in data]

    class Runner(Image2ImageRunner):
        def preprocess(self, input_data: Any, args: Any = None) -> Any:
            return super().preprocess(input_data)

        def inference(self, data: Any, args: Any = None) -> Any:
            return data * 2

        def postprocess(self, data: Any, args: Any = None) -> list[str]:
            return super().postprocess(data)

    with run(loaded(Runner), Files()) as instance:
        assert instance.run({"input_dataset_ids": ["a", "b"]}) == ["12", "12"]


@pytest.mark.parametrize("value", [0, 1, True, 0.5, np.float32(0.25), np.int64(1), np.float64(1.0)])
def test_progress_takes_any_real_number_in_range(value: Any) -> None:
    """Python and numpy numbers from 0 to 1 are progress."""
    desk = Desk()
    with run(loaded(BaseRunner), desk) as instance:
        instance.set_progress(value)
    assert desk.progress == [float(value)]


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf"), "0.5", None, 1j])
def test_progress_refuses_everything_else(value: Any) -> None:
    """A wrong progress is a ValueError that shows the value."""
    with run(loaded(BaseRunner)) as instance, pytest.raises(ValueError, match="from 0 to 1"):
        instance.set_progress(value)


def test_an_unknown_log_level_is_refused() -> None:
    """The error lists the levels there are."""
    with run(loaded(BaseRunner)) as instance, pytest.raises(ValueError, match="WARNING"):
        instance.log_message("x", "LOUD")


@pytest.mark.parametrize("hook", ["preprocess", "inference", "postprocess"])
def test_a_missing_hook_is_an_error_when_it_is_needed(hook: str) -> None:
    """A Runner without a hook loads; calling the hook says what to write."""
    with run(loaded(BaseRunner)) as instance, pytest.raises(AlgorithmError, match=f"def {hook}"):
        getattr(instance, hook)({}, {})


def test_the_three_stages_share_one_dict_of_parameters() -> None:
    """A key that one stage adds is seen by the next, and args is never None."""

    class Runner(BaseRunner):
        def preprocess(self, input_data: Any, params: Any) -> Any:
            params["added"] = input_data["input_dataset_ids"]
            return 1

        def inference(self, prepared: Any, args: Any) -> Any:
            return args["added"]

        def postprocess(self, output: Any, args: Any) -> list[str]:
            return output

    with run(loaded(Runner)) as instance:
        assert instance.run({"input_dataset_ids": ["a"]}, {}) == ["a"]


def test_a_run_leaves_no_context_behind() -> None:
    """After a run the context variables are as before, and the instance can be collected."""
    with run(loaded(BaseRunner)) as instance:
        assert current_handler.get() is not None
        assert current_runner_context.get() is instance.__dict__
        instance.value = 3
        assert instance.runner_context == {"value": 3}
    assert current_handler.get() is None
    assert current_runner_context.get() is None
    gc.collect()


class Picklable(BaseRunner):
    """At module level, as a deployed Runner is."""


def test_a_runner_travels_to_a_child_without_its_task() -> None:
    """Pickling a run's instance keeps its own attributes and leaves the task behind."""
    with run(loaded(Picklable)) as instance:
        instance.size = 7
        copy = pickle.loads(pickle.dumps(instance))
    assert copy.size == 7
    assert "_compox" not in copy.__dict__


def test_an_instance_made_by_hand_is_an_ordinary_object() -> None:
    """An author's own unit test may construct the class and set what it likes; only the task is missing."""
    runner = BaseRunner()
    runner.anything = 1
    assert runner.anything == 1
    assert runner.device == "cpu"
    with pytest.raises(StateError) as caught:
        runner.set_progress(0.5)
    assert caught.value.code == "task_handler_not_set"
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = runner.nothing_here
