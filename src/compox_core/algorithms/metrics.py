"""How many bytes an algorithm names, told by its records alone."""

from __future__ import annotations

from collections.abc import Iterable

from compox_core.identity import utc_now
from compox_core.records import AlgorithmVersion, StorageMetrics


def storage_metrics(versions: Iterable[AlgorithmVersion]) -> StorageMetrics:
    """Return the storage metrics of an algorithm whose living minor versions are `versions`.

    Each content counts once, however many minors and paths name it; contents that other algorithms name too
    count here as well. No object is looked at: minor versions carry the sizes. `last_recomputed_at` is the
    present time.
    """
    modules: dict[str, int] = {}
    assets: dict[str, int] = {}
    for version in versions:
        modules[version.module.sha256] = version.module.size
        assets.update((asset.sha256, asset.size) for asset in version.assets.values())
    module_bytes, asset_bytes = sum(modules.values()), sum(assets.values())
    return StorageMetrics(
        logical_size_bytes=module_bytes + asset_bytes,
        module_bytes=module_bytes,
        asset_bytes=asset_bytes,
        module_count=len(modules),
        asset_count=len(assets),
        last_recomputed_at=utc_now(),
    )
