from zato.server.service import Service


class FactsOfACall(Service):
    name = "conformance.service.facts"

    def handle(self):
        self.sleep(0)
        self.response.payload = {
            "invocation_time": self.invocation_time.year > 2000,
            "data_format": self.data_format,
            "transport": self.transport,
            "job_type": self.job_type,
            "usage": self.usage > 0,
            "process_name": isinstance(self.process_name, str),
            "request_cid": self.request.cid == self.cid,
        }
