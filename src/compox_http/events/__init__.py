"""What jobs say while they go on, as a stream of server-sent events."""

from compox_http.events.feeds import Feeds
from compox_http.events.stream import EventStream, event_stream

__all__ = ["EventStream", "Feeds", "event_stream"]
