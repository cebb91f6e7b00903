# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import sys
from decimal import Decimal

from proteus import Model, config

# https://login:password@host/database/rpc/
config.set_xmlrpc(sys.argv[1])

Signoff = Model.get('sale.review.signoff')
for signoff in Signoff.find([('can_sign', '=', True)]):
    if signoff.untaxed_amount <= Decimal(1000):
        signoff.opinion = "Below the limit."
        signoff.click('approve')
