from zato.server.service import RESTAdapter, Service


class GetUser(RESTAdapter):
    name = "conformance.adapter.get"
    conn_name = "conformance.adapter.get"
    has_query_string_id = True
    log_response = True

    def get_headers(self):
        return {"X-One": "1"}

    def get_path_params(self, params):
        return {"group": "staff"}

    def get_query_string(self, params):
        params["more"] = "yes"
        return params

    def get_auth_bearer(self):
        return "t0ken"

    def map_response(self, data, **kwargs):
        return {"mapped": data}


class Backend(Service):
    name = "conformance.adapter.backend"

    def handle(self):
        http = self.request.http
        self.response.payload = {
            "method": http.method,
            "path": http.path,
            "query": http.GET,
            "one": http.headers["x-one"],
            "auth": http.headers.get("authorization"),
        }
