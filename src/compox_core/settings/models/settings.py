"""The whole configuration."""

from __future__ import annotations

from pydantic import Field

from compox_core.settings.models.inference import Inference
from compox_core.settings.models.section import Port, Section
from compox_core.settings.models.server import Deploy, Gui, Info, Limits, Logging, Middleware, Ssl
from compox_core.settings.models.storage import Storage


class Settings(Section):
    """The whole configuration of an engine and its transports."""

    host: str = "127.0.0.1"
    """The address to listen on. The default is this machine only."""
    port: Port = 5481
    """The port to listen on; 0 takes a free one."""
    insecure: bool = False
    """Allows a `host` that other machines reach, although nobody has to log in."""
    deploy_algorithms_from: str = "./algorithms"
    """The folder with the algorithms that `compox deploy-algorithms` deploys."""
    log_path: str = "LOG_DEFAULT:compox.log"
    """The log file, beside which emergency records lie; empty for none. It may begin with a prefix."""
    config: str | None = None
    """Accepted from files of compox 3.2, without effect: a configuration is named by `--config`."""
    info: Info = Field(default_factory=Info)
    gui: Gui = Field(default_factory=Gui)
    storage: Storage = Field(default_factory=Storage)
    inference: Inference = Field(default_factory=Inference)
    deploy: Deploy = Field(default_factory=Deploy)
    limits: Limits = Field(default_factory=Limits)
    ssl: Ssl = Field(default_factory=Ssl)
    middleware: Middleware = Field(default_factory=Middleware)
    logging: Logging = Field(default_factory=Logging)
