"""Bundles: algorithms in one encrypted file."""
