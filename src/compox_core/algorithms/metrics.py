"""How many bytes an algorithm names, told by its records alone."""

from __future__ import annotations

from collections.abc import Iterable

from compox_core.algorithms.manifests import Manifest
from compox_core.identity import utc_now
from compox_core.records import AlgorithmVersion, StorageMetrics


def storage_metrics(versions: Iterable[AlgorithmVersion], checkpoints: Iterable[Manifest] = ()) -> StorageMetrics:
    """Return the storage metrics of an algorithm from its living minor versions and its checkpoints.

    Each content counts once, however many minors, checkpoints and paths name it; contents that other algorithms name
    too count here as well. No object is looked at: the records carry the sizes. `last_recomputed_at` is the present
    time.
    """
    modules: dict[str, int] = {}
    assets: dict[str, int] = {}
    manifests: dict[str, int] = {}
    for version in versions:
        modules[version.module.sha256] = version.module.size
        assets.update((asset.sha256, asset.size) for asset in version.assets.values())
    for checkpoint, size in checkpoints:
        manifests[checkpoint.checkpoint_id] = size
        assets.update((asset.sha256, asset.size) for asset in checkpoint.assets.values())
    module_bytes, asset_bytes, manifest_bytes = (sum(held.values()) for held in (modules, assets, manifests))
    return StorageMetrics(
        logical_size_bytes=module_bytes + asset_bytes + manifest_bytes,
        module_bytes=module_bytes,
        asset_bytes=asset_bytes,
        checkpoint_manifest_bytes=manifest_bytes,
        module_count=len(modules),
        asset_count=len(assets),
        checkpoint_count=len(manifests),
        last_recomputed_at=utc_now(),
    )
