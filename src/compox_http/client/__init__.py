"""A Python client with the verbs of `Engine`, for an engine that runs behind `compox-http serve`.

from compox_http.client import Client

with Client("http://127.0.0.1:5481") as client:
    result = client.run("template_denoising_algorithm", image, denoising_weight=0.2)
"""

from compox_http.client.client import Client
from compox_http.client.connection import ConnectionFailed

__all__ = ["Client", "ConnectionFailed"]
