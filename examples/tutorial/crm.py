"""A small CRM for the tutorial: GET /get-user?name=anna answers with JSON.

Run it with: python3 crm.py [PORT]
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

CUSTOMERS = {
    'anna': {'name': 'anna', 'type': 'gold'},
    'bert': {'name': 'bert', 'type': 'basic'},
    'carla': {'name': 'carla', 'type': 'business'},
}


class Crm(BaseHTTPRequestHandler):
    # Connections are kept open between requests.
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        url = urlsplit(self.path)
        name = parse_qs(url.query).get('name', [''])[0]
        if url.path != '/get-user':
            self.answer(404, {'error': 'There is only /get-user?name=NAME'})
        elif name not in CUSTOMERS:
            self.answer(404, {'error': f'Nobody is called {name}'})
        else:
            self.answer(200, CUSTOMERS[name])

    do_HEAD = do_GET

    def answer(self, status, data):
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)


if __name__ == '__main__':
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    server = ThreadingHTTPServer(('127.0.0.1', port), Crm)
    print(f'The CRM listens at http://127.0.0.1:{port}/get-user?name=anna', flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
