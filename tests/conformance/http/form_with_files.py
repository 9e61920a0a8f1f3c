from zato.server.service import Service


class FormWithFiles(Service):
    name = "conformance.http.form_with_files"

    def handle(self):
        form = self.request.http.get_form_data()
        file = form["report"]
        self.response.payload = {
            "title": form.title,
            "file": [file.filename, file.content_type, file.decode("utf-8")],
            "binary": form.binary == b"\x00\xff\r\n\x01",
            "POST": self.request.http.POST["title"],
            "names": sorted(form),
        }
