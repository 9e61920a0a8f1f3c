from contextlib import closing

from zato.server.service import Service


class Sql(Service):
    name = "conformance.outgoing.sql_session"

    def handle(self):
        with closing(self.out.sql["conformance.outgoing.sql_session"].session()) as session:
            session.execute("DROP TABLE IF EXISTS users")
            session.execute("CREATE TABLE users (id INTEGER, name TEXT)")
            changed = session.execute("INSERT INTO users VALUES (:id, :name)", {"id": 1, "name": "Anna"}).rowcount
            session.commit()
            rows = session.execute("SELECT id, name FROM users").fetchall()
            session.rollback()
            session.execute("INSERT INTO users VALUES (2, 'Beat')")
            try:
                session.rollback()
            except Exception as error:
                refused = type(error).__name__
            self.response.payload = {
                "changed": changed,
                "rows": [[row.id, row["name"]] for row in rows],
                "one": session.execute("SELECT name FROM users WHERE id = :id", {"id": 9}).fetchone(),
                "unpacked": [name.upper() + str(id) for id, name in session.execute("SELECT id, name FROM users ORDER BY id")],
                "by_place": [row[1] for row in session.execute("SELECT id, name FROM users ORDER BY id")],
                "dicts": [dict(row) for row in session.execute("SELECT id, name FROM users WHERE id = 2")],
                "mappings": [sorted(row) for row in session.execute("SELECT id, name FROM users WHERE id = 2").mappings()],
                "scalar": session.execute("SELECT count(*) AS n FROM users").scalar(),
                "refused": refused,
            }
