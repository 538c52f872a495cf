"""A debug script of compox 3.2 finds its connection and its handler."""

from __future__ import annotations

import contextvars
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compox_core.algorithms.loading import loaded_in_place
from compox_core.data import read_hdf5, write_hdf5
from compox_core.errors import NotFoundError
from tests.engine.authors import write_algorithm

RUNNER = """
    from compox.algorithm_utils.Image2ImageRunner import Image2ImageRunner
    from compox.database_connection.InMemoryConnection import InMemoryConnection
    from compox.tasks.DebuggingTaskHandler import DebuggingTaskHandler

    class Runner(Image2ImageRunner):
        tools = (InMemoryConnection, DebuggingTaskHandler)

        def inference(self, data, args):
            self.set_progress(1)
            self.log_message("done")
            self.save_item_to_session(3, "k")
            return data + self.load_item_from_session("k") + len(self.fetch_asset("files/w.bin").read())
"""


def test_a_script_runs_a_runner_on_its_own_connection(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Data goes in and comes out through the connection; assets come from the folder and from nowhere else."""
    folder = write_algorithm(tmp_path / "a", RUNNER, files={"files/w.bin": b"1234"})

    def script(runner: Any) -> None:
        connection_class, handler_class = runner.tools
        connection = connection_class()
        connection.create_collections(["data-store"])
        stream = io.BytesIO()
        write_hdf5(stream, {"image": np.zeros((2, 2), np.float32)})
        connection.put_objects("data-store", ["in"], [stream.getvalue()])
        handler = handler_class("t", connection, algorithm_directory=folder)
        handler.set_as_current_handler()
        (output,) = runner().run({"input_dataset_ids": ["in"]}, {})
        (content,) = connection.get_objects("data-store", [output])
        np.testing.assert_array_equal(read_hdf5(io.BytesIO(content))["image"], np.full((2, 2), 7, np.float32))
        with pytest.raises(NotFoundError):
            handler.fetch_asset("../secret")
        handler.remove_item_from_session("k")

    with loaded_in_place(folder) as runner:
        contextvars.copy_context().run(script, runner)
    assert "t INFO done" in capsys.readouterr().out


def test_the_connection_has_the_calls_that_scripts_make() -> None:
    """Collections, objects, sizes and tags, each as lists."""
    from compox_core.engine.legacy_handler import InMemoryConnection

    connection = InMemoryConnection()
    connection.create_collections(["a", "b"])
    connection.put_objects("a", ["x", "y"], ["text", b"bytes!"])
    connection.put_objects_with_duplicity_check("a", ["x", "z"], ["other", "new"])
    assert connection.list_collections() == ["a", "b"]
    assert connection.check_collections_exists(["a", "c"]) == [True, False]
    assert connection.list_objects("a") == ["x", "y", "z"]
    assert connection.get_objects("a", ["x", "z"]) == [b"text", b"new"]
    assert connection.get_object_sizes("a", ["y"]) == [6]
    connection.put_object_tags("a", ["x"], [{"k": "v"}])
    assert connection.get_object_tags("a", ["x", "y"]) == [{"k": "v"}, {}]
    connection.delete_objects("a", ["x", "nothing"])
    assert connection.check_objects_exist("a", ["x", "y"]) == [False, True]
    with pytest.raises(NotFoundError):
        connection.get_objects("a", ["x"])
    connection.delete_collections(["a"])
    assert connection.list_collections() == ["b"]
