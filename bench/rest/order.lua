wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"id":4711,"customer":{"name":"Ada Lovelace","city":"London"},"currency":"EUR","lines":[{"sku":"A-1","quantity":2,"price":19.5},{"sku":"B-2","quantity":1,"price":7.25}],"note":"leave at the door"}'
