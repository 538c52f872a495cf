"""Tests of where log lines go and what stands in them."""
