"""Compox over HTTP: the server (`compox_http.app`, `compox-http serve`) and the Python client (`compox_http.client`).

Importing this package loads neither, so that the client works where no web framework is installed.
"""
