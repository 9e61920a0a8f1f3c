from zato.server.service import Service


class GetUser(Service):
    def handle(self):
        self.response.payload = self.name


class CRMGetUser(GetUser):
    pass


class Get2FA(GetUser):
    pass


class OAuth2Token(GetUser):
    pass


class Get_Order(GetUser):
    pass


class ReadWSDLDocs(GetUser):
    pass


class Names(Service):
    name = "conformance.service.names_of_all_kinds"

    def handle(self):
        names = ["get-user", "crm-get-user", "get2fa", "o-auth2-token", "get_order", "read-wsdl-docs"]
        module = __name__.replace("_", "-")
        self.response.payload = [self.invoke(f"{module}.{name}") == f"{module}.{name}" for name in names]
