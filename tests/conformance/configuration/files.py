from zato.server.service import Service


class Configured(Service):
    name = "conformance.configuration.files"

    def handle(self):
        orders = self.config.conformance_orders.orders
        try:
            missing = self.config.conformance_none
        except AttributeError as error:
            missing = "conformance-orders" in str(error)
        self.response.payload = {
            "values": [orders.max_lines, orders.is_open, orders.countries, orders.note, orders["dashed-key"]],
            "by keys": self.user_config["conformance-orders"]["orders"]["max_lines"],
            "get": self.config.get("nothing", "else"),
            "missing": missing,
        }
