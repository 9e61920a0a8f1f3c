"""The demo services of a new environment. Change this file and save it: the new version serves at once."""

from tenon import Service


class Ping(Service):
    """Answers that the cluster works. A job of manifests/demo.yaml calls it every minute."""

    name = 'demo.ping'

    def handle(self):
        self.logger.info('demo.ping was called')
        self.response.payload = {'is_ok': True, 'cid': self.cid}


class Hello(Service):
    """Greets whoever is named. `tenon start` prints the line that calls it."""

    name = 'demo.hello'
    input = '-name'
    output = 'greeting'

    def handle(self):
        name = self.request.input.name or 'world'
        self.response.payload.greeting = f'Hello, {name}!'
