# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

"""How much memory a process of trytond takes"""

import subprocess
import sys

BATCH = 100


def memory(options):
    """Submit orders in batches against quoting them, each in a process of its
    own"""
    from .measure import Result
    from .orders import create
    from .server import sql

    n = options.submitted
    orders = create('large', n)
    sql('ours', """
        UPDATE sale_sale
        SET state = 'quotation', review_state = 'required',
            number = 'M' || id, quotation_date = current_date
        WHERE id = ANY(%s)""", [orders['ours']])
    processes = {
        name: subprocess.Popen(
            [sys.executable, '-W', 'ignore::DeprecationWarning', '-m',
                'benchmarks.memory', name, str(ids[0]), str(ids[-1])],
            stdout=subprocess.PIPE)
        for name, ids in orders.items()}
    memory = {}
    for name, process in processes.items():
        output, _ = process.communicate()
        assert not process.returncode
        memory[name] = float(output)
    yield Result(
        f"memory after submitting {n} orders / quoting them",
        memory['ours'], memory['stock'], 1.1, unit='MB')


def main(database, first, last):
    from .measure import peak_memory
    from .orders import slices, submit
    from .server import Client, load

    load(database)
    seller = Client(database, 'seller')
    ids = range(int(first), int(last) + 1)
    for batch in slices(ids, BATCH):
        seller(
            'sale.sale', submit if database == 'ours' else 'quote',
            list(batch))
    print(peak_memory())


if __name__ == '__main__':
    main(*sys.argv[1:])
