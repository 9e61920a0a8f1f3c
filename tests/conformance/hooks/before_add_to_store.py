from zato.server.service import Service

told = []


class LeftOut(Service):
    name = "conformance.hooks.left_out"

    @staticmethod
    def before_add_to_store(logger):
        logger.info("not me")
        return False

    def handle(self):
        pass


class Deployed(Service):
    name = "conformance.hooks.before_add_to_store"

    @staticmethod
    def before_add_to_store(logger):
        told.append("before")
        return True

    @staticmethod
    def after_add_to_store(logger):
        told.append("after")

    def handle(self):
        try:
            self.invoke("conformance.hooks.left_out")
        except Exception as error:
            self.response.payload = {"told": told, "error": type(error).__name__}
