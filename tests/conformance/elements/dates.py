from zato.server.service import Date, DateTime, Service


class Dates(Service):
    name = "conformance.elements.dates"
    input = Date("-day"), DateTime("-moment")
    output = Date("-day"), DateTime("-moment"), "-next"

    def handle(self):
        from datetime import timedelta

        given = self.request.input
        self.response.payload.day = given.day
        self.response.payload.moment = given.moment
        self.response.payload.next = given.day + timedelta(days=1) if given.day else None
