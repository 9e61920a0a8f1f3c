from tenon import ServiceUnavailable
from zato.server.service import RESTAdapter, Service

attempts = []


class Retries(RESTAdapter):
    name = "conformance.adapter.retries"
    conn_name = "conformance.adapter.flaky"
    max_retries = 50
    retry_sleep_time = 0.01
    retry_backoff_multiplier = 1
    needs_raw_response = True

    def map_response(self, data, **kwargs):
        return {"status": data.status_code, "data": data.data}


class Flaky(Service):
    name = "conformance.adapter.flaky"

    def handle(self):
        attempts.append(1)
        if len(attempts) < 3:
            raise ServiceUnavailable("not yet")
        self.response.payload = {"ok": True}
