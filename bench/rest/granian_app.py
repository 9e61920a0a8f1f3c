"""The measured service for Granian's own interface (RSGI)."""
import json


async def app(scope, protocol):
    order = json.loads(await protocol())
    total = sum(line["quantity"] * line["price"] for line in order["lines"])
    answer = {"order": order["id"], "customer": order["customer"]["name"], "total": total}
    protocol.response_str(200, [("content-type", "application/json")], json.dumps(answer))
