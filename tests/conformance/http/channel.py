from zato.common.api import CHANNEL
from zato.server.service import Service


class ChannelFacts(Service):
    name = "conformance.http.channel"

    def handle(self):
        channel = self.channel
        self.response.payload = {
            "name": channel.name,
            "same": self.chan is channel,
            "type": channel.type,
            "is_http": channel.type == CHANNEL.HTTP_SOAP,
            "data_format": channel.data_format,
            "is_internal": channel.is_internal,
            "security": channel.security.to_dict(),
            "sec": channel.sec.name,
            "transport": self.transport,
        }
