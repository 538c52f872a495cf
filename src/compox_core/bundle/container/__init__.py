"""The container of a bundle, version 2: one manifest and numbered blobs in one encrypted file that is written forward.

    create_bundle(path, manifest, blobs, locks=[key])
    with open_bundle(path, [key]) as bundle:
        bundle.manifest
        for blob in bundle.blobs():
            blob.number, blob.size, blob.sha256, blob.read(1 << 20)

The format is specified in `docs/reference/bundle-format.md`. Nothing here knows what a bundle is for.
"""

from compox_core.bundle.container.detecting import BundleOutline, bundle_version, outline
from compox_core.bundle.container.reader import BlobStream, BundleReader, open_bundle
from compox_core.bundle.container.writer import BlobSource, bundle_bytes, create_bundle, write_bundle

__all__ = [
    "BlobSource",
    "BlobStream",
    "BundleOutline",
    "BundleReader",
    "bundle_bytes",
    "bundle_version",
    "create_bundle",
    "open_bundle",
    "outline",
    "write_bundle",
]
