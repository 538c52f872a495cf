"""The command line of compox: `compox-cli` and `compox`."""
