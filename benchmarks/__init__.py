"""Speed and memory, each measured beside a baseline of the same run. Not part of the product."""
