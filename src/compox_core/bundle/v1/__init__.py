"""Bundles of version 1: the ancestor's format, read and written.

    with open_v1(path, key) as bundle:
        bundle.snapshot
        for content, stream in bundle.contents(wanted): ...
    create_v1(path, snapshot, open_content, key)

A zip whose members are sealed with AES-256-GCM one by one, and a manifest in the clear that is authenticated with the
same key. See `docs/reference/bundle-format.md` for what that does not protect.
"""
