"""Denoises, segments and registers real microscopy images, in this process and through an HTTP server.

The outputs of both must be the same to the last bit. What they are worth is judged against what is known about the
images and printed; pictures and the store go to `demo-output/`, or to the folder that is named as an argument. The exit
code is 0 when everything is as it should be.
"""

# ruff: noqa: E402

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if not __package__:
    sys.path[0] = str(ROOT)  # in place of this folder, so that its modules are those of the package `demo`

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from compox_core import Engine
from compox_http.client import Client
from demo.acts import ALGORITHMS, Inputs, Played, differences, make_inputs, play, warm_up
from demo.pictures import Column, aligned, compose, lit, mean_of, overlaid, write_png
from demo.server import serving
from demo.verdicts import Verdict, judge

CELL = (slice(240, 510), slice(270, 540))  # the part of the picture that is shown


def main(arguments: list[str]) -> int:
    """Run the demo and return its exit code."""
    began = time.perf_counter()
    out = Path(arguments[0]) if arguments else ROOT / "demo-output"
    console = Console()
    inputs = make_inputs()
    here, there = _play_twice(out, inputs, console)
    unequal = differences(here.outputs, there.outputs)
    verdicts = judge(inputs, here)
    console.print(_table(verdicts, here, there, unequal))
    _draw(inputs, here, verdicts, out)
    seconds = time.perf_counter() - began
    console.print(f"Pictures: [bold]{_shown(out / 'result.png')}[/] and beside it. The whole took {seconds:.0f} s.")
    return conclude(console, verdicts, unequal)


def _play_twice(out: Path, inputs: Inputs, console: Console) -> tuple[Played, Played]:
    store = fresh_store(out)
    with Engine(store) as engine:
        for algorithm in ALGORITHMS:
            deployed = engine.deploy(ROOT / "algorithms" / algorithm)
            version = f"{deployed.version.major}.{deployed.version.minor}"
            console.print(f"Deployed [bold]{deployed.record.name}[/] {version}")
        with console.status("Running in this process ..."):
            warm_up(engine)
            here = play(engine, inputs)
    console.print(f"Ran {len(here.outputs)} times in this process")
    with console.status("Starting a server ..."), serving(store, out / "server.log") as url, Client(url) as client:
        console.print(f"Started a server for the same store at {url}")
        warm_up(client)
        there = play(client, inputs)
    console.print(f"Ran {len(there.outputs)} times over HTTP")
    return here, there


def fresh_store(out: Path) -> Path:
    """Make the output folder, remove the store that an earlier demo left there, and return where it was."""
    store = out / "store"
    store.mkdir(parents=True, exist_ok=True)
    if (store / "system-store" / "format").exists():
        shutil.rmtree(store)
    return store


def _table(verdicts: list[Verdict], here: Played, there: Played, unequal: list[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("act", no_wrap=True)
    table.add_column("before -> after", no_wrap=True)
    table.add_column("here", justify="right", no_wrap=True)
    table.add_column("HTTP", justify="right", no_wrap=True)
    table.add_column("identical", justify="center", no_wrap=True)
    for verdict in verdicts:
        table.add_row(
            verdict.act,
            f"[{'green' if verdict.good else 'red'}]{verdict}[/]",
            f"{1000 * here.seconds[verdict.act]:.0f} ms",
            f"{1000 * there.seconds[verdict.act]:.0f} ms",
            "[red]no[/]" if verdict.act in unequal else "[green]yes[/]",
        )
    return table


def _draw(inputs: Inputs, played: Played, verdicts: list[Verdict], out: Path) -> None:
    outputs = played.outputs
    for name, picture in inputs.pictures.items():
        write_png(out / f"{name}-noisy.png", picture)
        write_png(out / f"{name}-denoised.png", np.asarray(outputs[f"denoise {name}"]))
    write_png(out / "coins-mask.png", np.asarray(outputs["segment coins"]))
    np.savetxt(out / "tissue-shifts.csv", outputs["register tissue"][:, :2, 2], "%.3f", ",", header="x,y")
    stats = json.dumps(json.loads(outputs["measure volume"]["stats"]), indent=1)
    (out / "volume-objects.json").write_text(stats, encoding="utf-8")
    compose(_columns(inputs, played, verdicts), out / "result.png")


def _columns(inputs: Inputs, played: Played, verdicts: list[Verdict]) -> list[Column]:
    outputs = played.outputs
    said = {verdict.act: verdict for verdict in verdicts}
    cell, coins, tissue = said["denoise cell"], said["segment coins"], said["register tissue"]
    frames = inputs.series.frames
    inner = slice(30, -30)
    mask = np.asarray(outputs["segment coins"])
    return [
        Column(
            "Denoise",
            inputs.pictures["cell"][CELL],
            f"a cell in noise: {cell.before} dB",
            np.asarray(outputs["denoise cell"])[CELL],
            f"{cell.after} PSNR",
        ),
        Column(
            "Segment",
            inputs.pictures["coins"],
            "coins in noise and uneven light",
            overlaid(np.asarray(outputs["denoise coins"]), mask),
            f"segmented: IoU {coins.after} coins",
        ),
        Column(
            "Register",
            mean_of(frames)[inner, inner],
            f"{len(frames)} drifting frames of tissue",
            mean_of(aligned(frames, outputs["register tissue"]))[inner, inner],
            f"aligned to {tissue.after}",
        ),
        Column(
            "Measure",
            inputs.balls.volume.max(axis=0),
            "a made-up volume",
            lit(outputs["measure volume"]["volume"]),
            f"{said['measure volume'].after} objects",
        ),
    ]


def conclude(console: Console, verdicts: list[Verdict], unequal: list[str]) -> int:
    """Say whether all is as it should be, and return the exit code."""
    bad = [verdict.act for verdict in verdicts if not verdict.good]
    if unequal:
        console.print(f"[red]In process and over HTTP differ:[/] {', '.join(unequal)}")
    if bad:
        console.print(f"[red]Not good enough:[/] {', '.join(bad)}")
    if not (unequal or bad):
        console.print("[green]In process and over HTTP, every output is identical.[/]")
    return 1 if unequal or bad else 0


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
