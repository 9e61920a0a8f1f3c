from zato.server.service import RESTAdapter, Service


class Failures(RESTAdapter):
    name = "conformance.adapter.failures"
    conn_name = "conformance.adapter.missing"


class Raw(RESTAdapter):
    name = "conformance.adapter.raw"
    conn_name = "conformance.adapter.missing"
    needs_raw_response = True

    def map_response(self, data, **kwargs):
        return {"status": data.status_code}
