"""What stands behind `compox.algorithm_debug` and `compox.algorithm_utils.LocalDebugSession` of compox 3.2.

Old algorithms import these names at the top of `Runner.py`, so importing this module costs nothing; new code uses
`compox_core.debug` and `compox-cli debug run`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from compox_core.identity import new_id


def debug(
    algo_dir: str | Path = ".",
    data: Any = ".",
    params: Mapping[str, Any] | None = None,
    device: str | None = "cpu",
    out: str | Path | None = None,
) -> Any:
    """Run the folder of an algorithm on image files without deploying it, and return its outputs.

    Args:
        algo_dir: The folder with `Runner.py`.
        data: An image file, a folder of them, or arrays.
        params: Values for declared parameters.
        device: `cpu`, `gpu`, `cuda:N` or `mps`.
        out: A folder for the outputs and a picture; None writes nothing.
    """
    from compox_core.engine.debug import debug_folder

    return debug_folder(algo_dir, data, device=device, out=out, parameters=params).result


def build_params_dict(params: Iterable[str] | None) -> dict[str, Any]:
    """Return `["weight=0.2"]` as `{"weight": 0.2}`; see `parse_parameters`."""
    from compox_core.engine.parameter_text import parse_parameters

    return parse_parameters(params or ())


def debug_run(
    data: str | Path = ".", algo: str | Path = ".", device: str | None = "cpu", param: Iterable[str] | None = None
) -> Any:
    """Do what `debug` does, with parameters as texts `key=value`."""
    return debug(algo, data, build_params_dict(param), device)


def app(arguments: Sequence[str] | None = None) -> None:
    """Read a command line (`run --data PATH`, `run` may be left out) and do a debug run, for a `__main__` guard."""
    import argparse
    import sys

    from compox_core.errors import CompoxError

    parser = argparse.ArgumentParser(description="Run the folder of an algorithm without deploying it.")
    parser.add_argument("--data", required=True, help="an image file, or a folder of them")
    parser.add_argument("--algo", default=".", help="the folder with Runner.py (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu, gpu, cuda:N or mps (default: %(default)s)")
    parser.add_argument("-p", "--param", action="append", metavar="KEY=VALUE", help="a parameter; repeat for several")
    parser.add_argument("--out", default="debug_output", help="where outputs go (default: %(default)s)")
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(given[1:] if given[:1] == ["run"] else given)
    try:
        debug(options.algo, options.data, build_params_dict(options.param), options.device, options.out)
    except CompoxError as error:
        notes = "\n".join(getattr(error, "__notes__", ()))
        sys.exit(f"{notes}\nError: {error}".lstrip())


class LocalDebugSession:
    """Runs algorithm folders on data that it holds in memory, as often as wanted.

    Args:
        task_id: Accepted for older scripts; each run has an id of its own.
        device: `cpu`, `gpu`, `cuda:N` or `mps`.
        tmp_bucket: Accepted for older scripts.
    """

    def __init__(
        self, task_id: str = "local-debug", device: str | None = "cpu", tmp_bucket: str = "data-store"
    ) -> None:
        self.task_id = task_id
        self.device = device
        self.tmp_bucket = tmp_bucket
        self._items: dict[str, dict[str, Any]] = {}

    def load_data(self, source: Any) -> list[str]:
        """Read image files (a file, a folder) or arrays, one item an image, and return an id for each."""
        from compox_core.engine.arranging import arrange_inputs
        from compox_core.engine.debug import debug_inputs

        kind = "Image2Image"
        items = arrange_inputs(debug_inputs(source, kind), kind).items
        return [self._keep(item if isinstance(item, dict) else self._read(item)) for item in items]

    def run(self, algo_dir: str | Path, inputs: Sequence[str], args: Mapping[str, Any] | None = None) -> list[str]:
        """Run a folder on items that were loaded, or came out of an earlier run; return an id for each output."""
        from compox_core.engine.debug import debug_folder

        items = [self.read(item) for item in inputs]
        done = debug_folder(algo_dir, items, device=self.device, parameters=args)
        return [self._keep(output) for output in done.result.outputs]

    def read(self, item_id: str) -> dict[str, Any]:
        """Return an input or output by its id. Raises NotFoundError (`file_not_found`)."""
        from compox_core.errors import NotFoundError

        if item_id not in self._items:
            raise NotFoundError(
                f"This session holds no data '{item_id}': use an id that load_data or run returned.",
                code="file_not_found",
                details={"file_id": item_id},
            )
        return self._items[item_id]

    def _keep(self, item: dict[str, Any]) -> str:
        item_id = new_id()
        self._items[item_id] = item
        return item_id

    @staticmethod
    def _read(path: Any) -> dict[str, Any]:
        from compox_core.data import read_hdf5

        return read_hdf5(path)
