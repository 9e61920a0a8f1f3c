from zato.server.service import Service


class ChannelWins(Service):
    name = "conformance.io.parameters_of_the_channel_win"
    input = "id"

    def handle(self):
        self.response.payload = dict(self.request.input)
