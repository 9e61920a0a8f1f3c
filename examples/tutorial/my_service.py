"""The tutorial's service: what the CRM and the billing database know about a customer, in one answer."""

from zato.common.exception import NotFound
from zato.server.service import Float, Service


class MyService(Service):
    """Returns a customer's type and balance. Without a name it is the customer whom the job asks about."""

    name = 'api.my-service'

    input = '-name'
    output = 'name', 'customer_type', Float('balance')

    def handle(self):
        name = self.request.input.name or 'anna'

        # The address and everything else about the CRM is in the connection.
        crm = self.out.rest['CRM'].conn.get(self.cid, {'name': name})
        if crm.status_code == 404:
            raise NotFound(self.cid, f'The CRM knows no customer {name}')
        crm.raise_for_status()
        customer = crm.data

        # One row, or None. The parameter is sent beside the query, never pasted into it.
        row = self.out.sql['Billing'].one_or_none(
            'SELECT balance FROM account WHERE user_name = :name',
            {'name': name},
        )

        self.logger.info('Customer %s is of type %s', name, customer['type'])

        self.response.payload = {
            'name': name,
            'customer_type': customer['type'],
            'balance': row['balance'] if row else 0,
        }
