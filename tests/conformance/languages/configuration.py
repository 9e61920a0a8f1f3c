from zato.server.service import Service


class Configuration(Service):
    name = "conformance.languages.configuration"

    def handle(self):
        limits = self.config.languages.limits
        self.response.payload = {"orders_max": int(limits.orders_max), "greeting": limits.greeting}
