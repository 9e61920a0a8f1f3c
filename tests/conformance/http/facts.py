from zato.server.service import Service


class Facts(Service):
    name = "conformance.http.facts"

    def handle(self):
        http = self.request.http
        self.response.payload = {
            "method": http.method,
            "path": http.path,
            "GET": http.GET,
            "params": http.params,
            "header": http.headers.get("X-One"),
            "lower": http.headers["x-one"],
            "user_agent": http.user_agent,
            "wsgi": [self.wsgi_environ["REQUEST_METHOD"], self.wsgi_environ["PATH_INFO"], self.wsgi_environ["HTTP_X_ONE"]],
            "remote": self.wsgi_environ["zato.http.remote_addr"],
        }
