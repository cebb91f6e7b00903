# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import sys
import time

from proteus import Model, config

# https://login:password@host/database/rpc/
config.set_xmlrpc(sys.argv[1])

Run = Model.get('customer.grading.run')
Scheme = Model.get('customer.grading.scheme')
for scheme in Scheme.find([
            ('state', '=', 'published'),
            ('company', '!=', None),
            ]):
    run = Run(scheme=scheme, kind='full')
    run.click('compute')
    while run.state == 'draft' and not run.error:
        time.sleep(5)
        run.reload()
    if run.error:
        print(run.number, run.error)
        continue
    print(run.number, scheme.rec_name, run.customers)
    for migration in run.migration:
        print(
            migration.previous_grade.code if migration.previous_grade else '-',
            migration.final_grade.code if migration.final_grade else '-',
            migration.count)
