import logging

from zato.server.service import Service

logger = logging.getLogger("my.module")


class Logs(Service):
    name = "conformance.service.logger"

    def handle(self):
        self.logger.info("%s called with %r", self.name, self.request.payload)
        self.logger.warning("a warning")
        logger.info("from the module")
        print("printed")
        self.log_input("in:")
        self.response.payload = {"logger": self.logger.name}
        self.log_output("out:")
