"""The measured service for FastAPI on uvicorn."""
from fastapi import FastAPI, Request

app = FastAPI()


@app.post("/order")
async def order(request: Request):
    order = await request.json()
    total = sum(line["quantity"] * line["price"] for line in order["lines"])
    return {"order": order["id"], "customer": order["customer"]["name"], "total": total}
