from zato.server.service import Service


class Secrets(Service):
    name = "conformance.crypto.secrets"

    def handle(self):
        crypto = self.crypto
        encrypted = crypto.encrypt("a secret: ä")
        hashed = crypto.hash_secret("password")
        self.response.payload = {
            "differs": encrypted != "a secret: ä",
            "decrypted": crypto.decrypt(encrypted),
            "right": crypto.verify_hash("password", hashed),
            "wrong": crypto.verify_hash("passw0rd", hashed),
            "generated": crypto.generate_secret() != crypto.generate_secret(),
            "password": len(crypto.generate_password()) > 10,
        }
