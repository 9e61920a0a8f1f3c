from zato.server.service import Service


class OrderError(Exception):
    pass


class TimeoutError(Exception):
    """Has the name of one of Python's own."""


class Caller(Service):
    name = "conformance.errors.exceptions_of_an_invoked_service"

    def handle(self):
        caught = []
        for which in ("value", "key", "own", "os", "time"):
            try:
                self.invoke("conformance.errors.raises_what_it_is_told", which=which)
            except OrderError as error:
                caught.append(["own", str(error)])
            except ValueError as error:
                caught.append(["value", str(error), error.args])
            except KeyError:
                caught.append(["key"])
            except TimeoutError as error:
                caught.append(["time", str(error)])
            except OSError as error:
                caught.append(["os", type(error).__name__])
        self.response.payload = {"caught": caught}
        if self.request.input.get("pass"):
            self.invoke("conformance.errors.raises_what_it_is_told", which="own")


class Raises(Service):
    name = "conformance.errors.raises_what_it_is_told"
    input = "which"

    def handle(self):
        which = self.request.input.which
        if which == "value":
            raise ValueError("not this: one")
        if which == "key":
            return {}["gone"]
        if which == "time":
            raise TimeoutError("too late")
        if which == "os":
            return open("/nowhere/at/all")
        raise OrderError("no such order")
