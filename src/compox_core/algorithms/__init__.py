"""Algorithms: how a folder is read, packed, registered and imported."""
