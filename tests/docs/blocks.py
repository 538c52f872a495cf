"""Runs the code blocks of a documentation page, as its reader would from the root of a clone.

- `python` blocks share one namespace.
- `shell` blocks are run by bash; of `console` blocks the lines after `$ `. A command `compox-http serve` is left
  running until the page starts another server, or ends.
- A block with a caption is a file: it is written under that name.
- An `output` block holds what the block before it printed; `...` stands for anything.
- `toml`, `yaml` and `json` blocks must parse. `text` blocks are shown only.

The port 5481 becomes a free one, so that pages can run beside each other and beside a server that is at work.
`<!-- skip: next -->` before a block leaves it out.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from sybil import Document, Example, Region, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer
from sybil.parsers.myst import SkipParser

ROOT = Path(__file__).parents[2]
PORT = "5481"
COMMAND_SECONDS = 240
SERVER_SECONDS = 60

INFO = re.compile(
    r"[ \t]*(?:\{code-block\}[ \t]*)?(?P<language>[^\s{}`]*)[ \t]*\n(?P<options>(?:[ \t]*:[\w-]+:[^\n]*\n)*)"
)
CAPTION = re.compile(r":caption:\s*(\S+)")
RUN = ("python", "shell", "console", "output")
DATA = {"toml": tomllib.loads, "yaml": yaml.safe_load, "json": json.loads}


class Page:
    """One page while its blocks are run in `folder`; closing it ends the server that it started."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self.folder = folder
        self.port = str(free_port())
        self._python = PythonEvaluator()
        self._printed = ""
        self._server: subprocess.Popen[bytes] | None = None

    def examples(self) -> list[Example]:
        """Return the page's blocks in order."""
        document = Sybil(parsers=[self.blocks, SkipParser()]).parse(self.path)
        document.namespace["__name__"] = "__main__"
        return list(document.examples())

    def blocks(self, document: Document) -> Iterable[Region]:
        """Yield every fenced code block of the page; other directives are no code."""
        for region in RawFencedCodeBlockLexer(INFO)(document):
            region.parsed = region.lexemes["source"]
            region.evaluator = self.evaluate
            yield region

    def evaluate(self, example: Example) -> str | None:
        """Run one block; return what is wrong with it, if anything."""
        language = example.region.lexemes["language"]
        caption = CAPTION.search(example.region.lexemes["options"])
        # A Lexeme is a str that knows its line; only what is replaced loses that.
        if PORT in example.parsed:
            replaced = type(example.parsed)(
                example.parsed.replace(PORT, self.port), example.parsed.offset, example.parsed.line_offset
            )
            example.parsed = replaced
        if caption:
            self._write(caption.group(1), example.parsed)
        elif language == "python":
            self._run_python(example)
        elif language in ("shell", "console"):
            return self._shell(_commands(example.parsed, language))
        elif language == "output":
            return self._compare(example.parsed)
        if language in DATA:
            DATA[language](example.parsed)
        elif language not in (*RUN, "text") and not caption:
            return f"a block in {language or 'no language'!r} is neither run nor declared as text"
        return None

    def _run_python(self, example: Example) -> None:
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                self._python(example)
        finally:
            self._printed = printed.getvalue()
            print(self._printed)

    def _compare(self, expected: str) -> str | None:
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        if doctest.OutputChecker().check_output(expected, self._printed, flags):
            return None
        return f"the page shows\n{expected}\nbut this was printed:\n{self._printed}"

    def _write(self, name: str, content: str) -> None:
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")

    def _shell(self, commands: str) -> str | None:
        for line in commands.splitlines():
            if line.startswith("compox-http serve"):
                return self._serve(commands)
        # make would install and run the very suite that this is part of: its targets are only looked up.
        commands = re.sub(r"^make ", f"make -n -C '{ROOT}' ", commands, flags=re.MULTILINE)
        done = subprocess.run(
            [bash(), "-euo", "pipefail", "-c", commands],
            cwd=self.folder,
            env=environment(self.folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        self._printed = done.stdout
        print(done.stdout, done.stderr, sep="\n")
        return f"exit code {done.returncode}:\n{done.stdout}\n{done.stderr}" if done.returncode else None

    def _serve(self, command: str) -> str | None:
        if "--port" not in command:
            command = command.rstrip() + f" --port {self.port}"
        self.close()
        log = self.folder / "server.log"
        with log.open("wb") as output:
            self._server = server = subprocess.Popen(
                [bash(), "-c", f"exec {command}"],
                cwd=self.folder,
                env=environment(self.folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + SERVER_SECONDS
        while time.monotonic() < deadline and server.poll() is None:
            if listening(int(self.port)):
                return None
            time.sleep(0.1)
        return f"the server did not come up:\n{log.read_text(errors='replace')}"

    def close(self) -> None:
        """End the server that the page started."""
        server, self._server = self._server, None
        if server is None:
            return
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _commands(source: str, language: str) -> str:
    if language == "shell":
        return source
    return "\n".join(line[2:] for line in source.splitlines() if line.startswith(("$ ", "> ")))


def bash() -> str:
    """Return the bash that runs a page's commands."""
    return shutil.which("bash") or "bash"


def environment(folder: Path) -> dict[str, str]:
    """Return an environment in which the project's commands are found and the default store is a fresh one."""
    scripts = str(Path(sys.executable).parent)
    home: dict[str, Any] = {name: str(folder / "home") for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")}
    path = os.pathsep.join([scripts, os.environ.get("PATH", "")])
    return {**os.environ, **home, "PATH": path, "VIRTUAL_ENV": str(Path(scripts).parent)}


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening(port: int) -> bool:
    """Return whether something accepts connections on a port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
