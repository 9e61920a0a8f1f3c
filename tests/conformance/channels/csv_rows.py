from zato.server.service import Service


class CsvRows(Service):
    name = "conformance.channels.csv_rows"

    def handle(self):
        rows = self.request.payload
        self.response.payload = [{"name": row["name"].upper(), "age": int(row["age"]) + 1} for row in rows]
