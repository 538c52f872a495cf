"""The routes of `/` and `/api/v0`: parse, call one method of the engine, shape the answer."""
