"""The names of the collections that a store holds."""

from __future__ import annotations

ALGORITHMS = "algorithm-store"
MODULES = "module-store"
ASSETS = "asset-store"
CHECKPOINTS = "algorithm-checkpoint-store"
FILES = "data-store"
SAMPLES = "sample-store"
EXECUTIONS = "execution-store"
TRAININGS = "training-store"
BENCHMARKS = "benchmark-store"
DEPLOYS = "deploy-store"
STOP_REQUESTS = "stop-requests"
SYSTEM = "system-store"

SUBMITS = "submits/"
"""In `system-store`: what the ids mean that clients give their submits."""

ALL: tuple[str, ...] = (
    ALGORITHMS,
    MODULES,
    ASSETS,
    CHECKPOINTS,
    FILES,
    SAMPLES,
    EXECUTIONS,
    TRAININGS,
    BENCHMARKS,
    DEPLOYS,
    STOP_REQUESTS,
    SYSTEM,
)
