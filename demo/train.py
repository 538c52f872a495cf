"""Trains a small network to remove noise from microscopy images, in worker processes, and ships what it learned.

It makes samples of real pictures and the same in little light, trains, and examines the network on pictures that it
never saw, beside two classic methods. It exports the checkpoint as a zip, which runs in a second store and gives the
same pixels. Then it stops a training in the middle, goes on from its checkpoint, and finds the same weights as without
the stop. Pictures, the metric history and the zip go to `demo-output/training/`, or to the folder that is named as an
argument; `--quick` learns little from little, to try it. The exit code is 0 when everything is as it should be.
"""

# ruff: noqa: E402

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if not __package__:
    sys.path[0] = str(ROOT)  # in place of this folder, so that its modules are those of the package `demo`

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table

from compox_core import CheckpointRecord, Engine, MetricHistory, TaskStatus
from demo.judge import psnr
from demo.lesson_pictures import draw_curves, draw_results
from demo.lessons import Pair, best_non_local_means, best_total_variation, examination, lessons
from demo.run import fresh_store

NAME = "template_training_algorithm"
FEW = {"epochs": 4, "steps_per_epoch": 8, "batch_size": 4, "crop_size": 32, "num_threads": 1}
SHORT = {**FEW, "steps_per_epoch": 50}  # long enough to be stopped in the middle
WEIGHTS = "files/weights.pt"
SMALLEST_GAIN = 6.0  # decibels


@dataclass(frozen=True)
class Learned:
    """What came of the training."""

    history: MetricHistory
    checkpoint: CheckpointRecord
    seconds: float


@dataclass(frozen=True)
class Answer:
    """What was made of a picture that nobody learned from, by each method."""

    pair: Pair
    results: dict[str, np.ndarray]

    def decibels(self, method: str) -> float:
        """Return how near a result is to the truth."""
        return psnr(self.pair.clean, self.results[method])


def main(arguments: list[str]) -> int:
    """Run the demo and return its exit code."""
    began = time.perf_counter()
    parser = argparse.ArgumentParser(prog="demo/train.py", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "demo-output" / "training")
    parser.add_argument("--quick", action="store_true", help="learn little from little")
    options = parser.parse_args(arguments)
    out, console = options.folder, Console()
    with Engine(fresh_store(out), executor="processes") as engine:
        deployed = engine.deploy(ROOT / "algorithms" / NAME)
        console.print(f"Deployed [bold]{deployed.record.name}[/] {deployed.version.major}.{deployed.version.minor}")
        samples = make_samples(engine, options.quick)
        learned = learn(engine, samples, options.quick, console)
        with console.status("Examining it, beside classic methods ..."):
            answers = examine(engine, learned.checkpoint, options.quick)
        bundle = out / f"{NAME}.zip"
        engine.algorithms.export(NAME, checkpoint_id=learned.checkpoint.checkpoint_id, target=bundle)
        with console.status("Stopping a training, and going on ..."):
            resumed = goes_on_as_before(engine, samples)
    with console.status("Deploying the exported zip into a second store ..."):
        shipped = runs_elsewhere(bundle, out / "elsewhere", answers)
    console.print(_table(answers))
    _write(out, learned, answers)
    console.print(
        f"Pictures, metrics and the zip are in [bold]{out}[/]. The whole took {time.perf_counter() - began:.0f} s."
    )
    return conclude(console, [] if options.quick else too_little(answers), shipped, resumed)


def make_samples(engine: Engine, quick: bool) -> list[str]:
    """Store the pairs to learn from, each as a sample, and return their ids."""
    groups = [{"input": pair.noisy, "target": pair.clean} for pair in lessons(quick)]
    return [engine.samples.create(group, tags=["demo", "little light"]).sample_id for group in groups]


def learn(engine: Engine, samples: list[str], quick: bool, console: Console) -> Learned:
    """Train, with a bar, and return what came of it; the checkpoint is the best one."""
    device = device_here()
    console.print(f"Learning from {len(samples)} samples on {device} ...")
    began = time.perf_counter()
    training = engine.train(NAME, samples, tags=["demo"], device=device, parameters=FEW if quick else {})
    checkpoints = training.result(progress=True)
    best = next(checkpoint for checkpoint in checkpoints if checkpoint.properties["best"])
    history, seconds = training.metrics(), time.perf_counter() - began
    before, after = history.values("val_psnr")[0], best.properties["val_psnr"]
    console.print(
        f"Learned for {seconds:.0f} s: PSNR of what was kept aside {before:.1f} -> {after:.1f} dB; the best checkpoint "
        f"is of epoch {best.properties['epoch']} and has {best.size / 1e6:.1f} MB"
    )
    return Learned(history, best, seconds)


def device_here() -> str:
    """Return what to train on: the GPU that PyTorch finds, else the processor."""
    if torch.cuda.is_available():
        return "gpu"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def examine(engine: Engine, checkpoint: CheckpointRecord, quick: bool) -> dict[str, Answer]:
    """Return what the network and two classic methods make of pictures that none of them has seen."""
    answers = {}
    for title, pair in examination(quick).items():
        untrained = engine.run(NAME, pair.noisy, device="cpu", progress=False)
        results = {
            "before": untrained,
            "non-local means": best_non_local_means(pair),
            "total variation": best_total_variation(pair),
            "learned": engine.run(NAME, pair.noisy, device="cpu", checkpoint=checkpoint, progress=False),
        }
        answers[title] = Answer(pair, {name: np.asarray(result) for name, result in results.items()})
    return answers


def runs_elsewhere(bundle: Path, out: Path, answers: dict[str, Answer]) -> bool:
    """Return whether the exported zip, deployed into a fresh store, gives the pixels that the checkpoint gave."""
    with Engine(fresh_store(out)) as elsewhere:
        elsewhere.deploy(bundle)
        return all(
            np.array_equal(elsewhere.run(NAME, each.pair.noisy, device="cpu", progress=False), each.results["learned"])
            for each in answers.values()
        )


def goes_on_as_before(engine: Engine, samples: list[str]) -> bool:
    """Return whether a training that is stopped and goes on from its checkpoint ends as one that is not stopped."""

    def trained(checkpoint: str | None = None, stop: bool = False) -> list[CheckpointRecord]:
        training = engine.train(NAME, samples[:1], parameters=SHORT, checkpoint=checkpoint, device="cpu")

        asked: list[float] = []

        def watch(progress: float) -> None:
            if stop and progress > 0.4 and not asked:
                asked.append(progress)
                training.stop()

        record = training.wait(progress=watch)
        assert record.status is (TaskStatus.STOPPED if stop else TaskStatus.COMPLETED), training.log
        return training.checkpoints

    whole = trained()[-1]
    rest = trained(trained(stop=True)[-1].checkpoint_id)[-1]
    return whole.assets[WEIGHTS].sha256 == rest.assets[WEIGHTS].sha256


def too_little(answers: dict[str, Answer]) -> list[str]:
    """Return the pictures of which too little noise was taken away."""
    gains = {title: each.decibels("learned") - each.decibels("before") for title, each in answers.items()}
    return [title for title, gain in gains.items() if gain < SMALLEST_GAIN]


def conclude(console: Console, bad: list[str], shipped: bool, resumed: bool) -> int:
    """Say whether all is as it should be, and return the exit code."""
    if bad:
        console.print(f"[red]Learned too little for:[/] {', '.join(bad)}")
    for fine, said in (
        (shipped, "The exported zip, deployed into a second store, gives the same pixels."),
        (resumed, "A training that was stopped and went on ended with the same weights as one that was not."),
    ):
        console.print(f"[green]{said}[/]" if fine else f"[red]This is not so:[/] {said}")
    return 0 if shipped and resumed and not bad else 1


def _table(answers: dict[str, Answer]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, title="PSNR in dB, pictures never seen")
    table.add_column("picture")
    for method in next(iter(answers.values())).results:
        table.add_column(method, justify="right")
    for title, answer in answers.items():
        figures = {method: answer.decibels(method) for method in answer.results}
        best = max(figures, key=lambda method: figures[method])
        shown = [f"[green]{value:.2f}[/]" if method == best else f"{value:.2f}" for method, value in figures.items()]
        table.add_row(title, *shown)
    table.caption = "Classic methods: tuned to each picture by its truth."
    return table


def _write(out: Path, learned: Learned, answers: dict[str, Answer]) -> None:
    learned.history.to_csv(out / "metrics.csv")
    draw_curves(learned.history, out / "loss-curve.png")
    answer: Any = next(iter(answers.values()))
    columns = [
        ("Little light", answer.pair.noisy, f"{answer.decibels('before'):.1f} dB"),
        ("Total variation", answer.results["total variation"], f"{answer.decibels('total variation'):.1f} dB"),
        ("Learned", answer.results["learned"], f"{answer.decibels('learned'):.1f} dB"),
        ("Truth", answer.pair.clean, "a new field of view of the slide"),
    ]
    draw_results(columns, out / "result.png", good=2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
