from zato.server.service import Service


class Sql(Service):
    name = "conformance.outgoing.sql"

    def handle(self):
        db = self.out.sql["conformance.outgoing.sql"]
        db.execute("CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT)")
        db.execute("INSERT OR REPLACE INTO users (id, name) VALUES (:id, :name)", {"id": 1, "name": "Anna"})
        row = db.one("SELECT id, name FROM users WHERE id = :id", {"id": 1})
        none = db.one_or_none("SELECT id FROM users WHERE id = :id", {"id": 2})
        self.response.payload = {"row": row, "name": row.name, "none": none, "all": db.all("SELECT name FROM users ORDER BY id")}
