"""Messages of topics, as existing service files import them."""

from typing import Any, Dict


class PubSubMessage:
    """A message of a topic."""

    def __init__(self, **fields: Any) -> None:
        self.topic_name: str = ""
        self.msg_id: str = ""
        self.correl_id: str = ""
        self.in_reply_to: str = ""
        self.data: Any = None
        self.priority: int = 5
        self.expiration: Any = None
        self.pub_time_iso: str = ""
        self.ext_client_id: str = ""
        self.__dict__.update(fields)

    def to_dict(self) -> Dict[str, Any]:
        """The message's fields."""
        return dict(self.__dict__)


__all__ = ["PubSubMessage"]
