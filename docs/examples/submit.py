# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import sys

from proteus import Model, Wizard, config

# https://login:password@host/database/rpc/
config.set_xmlrpc(sys.argv[1])

Sale = Model.get('sale.sale')
for sale in Sale.find([
            ('state', '=', 'quotation'),
            ('review_state', '=', 'required'),
            ]):
    submit = Wizard('sale.sale.submit_review', [sale])
    if submit.form.problems:
        print(submit.form.problems)
        submit.execute('end')
        continue
    for signoff in submit.form.signoffs:
        print(
            sale.number, signoff.stage, signoff.department.rec_name,
            signoff.deadline, signoff.reason)
    submit.execute('submit')
