from zato.server.service import Service


class Crypto(Service):
    name = "conformance.languages.crypto"

    def handle(self):
        sealed = self.crypto.encrypt("Zürich")
        hashed = self.crypto.hash_secret("secret")
        try:
            self.crypto.decrypt("nonsense")
            nonsense = True
        except Exception:
            nonsense = False
        self.response.payload = {
            "is_sealed": "rich" not in sealed,
            "opened": self.crypto.decrypt(sealed),
            "right": self.crypto.verify_hash("secret", hashed),
            "wrong": self.crypto.verify_hash("guess", hashed),
            "nonsense": nonsense,
        }
