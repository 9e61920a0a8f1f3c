from zato.server.service import Service


class Sql(Service):
    name = "conformance.outgoing.sql_results"

    def handle(self):
        conn = self.outgoing.sql.get("conformance.outgoing.sql_results")
        conn.execute("DROP TABLE IF EXISTS flights")
        conn.execute("CREATE TABLE flights (flight_id INTEGER, status TEXT, destination TEXT)")
        changed = conn.execute("INSERT INTO flights VALUES (101, 'active', 'JFK'), (205, 'active', 'LHR'), (7, 'late', 'ZRH')")

        query = "SELECT * FROM flights WHERE status = :status ORDER BY flight_id"
        active = conn.execute(query, {"status": "active"})
        self.response.payload = {
            "active": active,
            "count": len(active),
            "empty": conn.execute(query, {"status": "gone"}) == [],
            "changed": [changed == [], changed.rows_affected],
            "one": conn.one(query, {"status": "late"}),
            "by_place": conn.one(query, {"status": "late"})[2],
            "one_or_none": [conn.one_or_none(query, {"status": "late"})["flight_id"], conn.one_or_none(query, {"status": "gone"})],
            "refused": [self.failure(conn.one, query, "gone"), self.failure(conn.one, query, "active"), self.failure(conn.one_or_none, query, "active")],
        }

    def failure(self, method, query, status):
        try:
            return method(query, {"status": status})
        except Exception as error:
            return type(error).__name__
