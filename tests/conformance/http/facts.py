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
            "body": self.wsgi_environ["wsgi.input"].read().decode(),
            "channel": self.wsgi_environ["zato.channel_item"]["name"],
            "scheme": self.wsgi_environ["wsgi.url_scheme"],
            "uri": self.wsgi_environ["RAW_URI"],
            "remote": self.wsgi_environ["zato.http.remote_addr"],
        }
