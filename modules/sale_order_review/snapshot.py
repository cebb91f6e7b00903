# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.
"""The content to which signatures are given

A snapshot is a dictionary of plain values: by name of model the fields of the
header, or for the models of the lines by id the fields of each line. Relations
are ids, decimals are strings without trailing zeros, dates are ISO 8601 and
durations are seconds, so that the same content always gives the same text."""

import datetime as dt
import hashlib
import json
from collections import defaultdict
from decimal import Decimal

from sql import Column

from trytond import backend
from trytond.model import fields
from trytond.transaction import Transaction

_EMPTY = [None, False, '', []]


def plain(value, type_=None):
    "Return the value of a field of the type as it stands in a snapshot"
    if type_ == 'boolean':
        # SQLite has no booleans
        return bool(value)
    elif isinstance(value, Decimal):
        return format(value.normalize(), 'f') if value else '0'
    elif isinstance(value, (dt.datetime, dt.date)):
        return value.isoformat()
    elif isinstance(value, dt.timedelta):
        return value.total_seconds()
    elif isinstance(value, (list, tuple)):
        return sorted(plain(v) for v in value)
    return value


def read(Model, names, key, ids):
    """Return of the records whose key is one of the ids the list of their id,
    the value of the key and the values of the names.

    It reads what is in the database: columns and relations with a query each,
    since instances would take most of the time of a signature, and the other
    fields as the model does."""
    if not ids:
        return []
    types = {n: Model._fields[n]._type for n in names}
    columns = {
        n for n in names
        if Model._fields[n].sql_type()
        and not isinstance(Model._fields[n], (fields.Binary, fields.Function))
        and not getattr(Model._fields[n], 'translate', False)}
    rows = {r['id']: r for r in select(
            Model, {'id', key, *columns}, key, ids)}
    for name in columns:
        field = Model._fields[name]
        if hasattr(field, 'get'):
            values = field.get(
                list(rows), Model, name, values=list(rows.values()))
            for id_, row in rows.items():
                row[name] = values[id_]
    others = []
    for name in names - columns:
        field = Model._fields[name]
        Relation = None
        if isinstance(field, fields.Many2Many) and not field.filter:
            Relation = field.get_relation()
        if Relation and Relation._fields[field.origin]._type == 'many2one':
            targets = defaultdict(list)
            for row in select(
                    Relation, {field.origin, field.target},
                    field.origin, list(rows)):
                targets[row[field.origin]].append(row[field.target])
            for id_, row in rows.items():
                row[name] = targets[id_]
        else:
            others.append(name)
    if others:
        for values in Model.read(list(rows), others):
            rows[values['id']].update(values)
    return [
        (i, r[key], {n: plain(r[n], t) for n, t in types.items()})
        for i, r in rows.items()]


def select(Model, names, key, ids):
    """Return as dictionaries the columns of the names of the records whose key
    is one of the ids, in the order of their ids

    A name with a dot is the one of a column of the record to which the
    relation before it points."""
    if not ids:
        return []
    cursor = Transaction().connection.cursor()
    table = from_ = Model.__table__()
    targets = {}
    names = list(names)
    columns = []
    for name in names:
        relation, _, column_name = name.rpartition('.')
        source, Source = table, Model
        if relation:
            Source = Model._fields[relation].get_target()
            if relation not in targets:
                target = targets[relation] = Source.__table__()
                from_ = from_.join(
                    target, 'LEFT',
                    condition=Column(table, relation) == target.id)
            source = targets[relation]
        column = Column(source, column_name).as_(name)
        if backend.name == 'sqlite':
            sql_type = Source._fields[column_name].sql_type().base
            column.output_name += f' [{sql_type}]'
        columns.append(column)
    cursor.execute(*from_.select(*columns,
            where=fields.SQL_OPERATORS['in'](Column(table, key), ids),
            order_by=[table.id]))
    return [dict(zip(names, row)) for row in cursor]


def dumps(snapshot):
    "Return the canonical JSON text of the snapshot"
    return json.dumps(
        snapshot, sort_keys=True, separators=(',', ':'), ensure_ascii=False)


def digest(text):
    "Return the SHA-256 of the text in hexadecimal"
    return hashlib.sha256(text.encode('utf-8')).hexdigest()


def same(old, new, names):
    "Return whether two snapshots do not differ in the names, as for part"
    return not any(differences(part(old, names), part(new, names)))


def part(snapshot, names):
    """Return the part of the snapshot that the names keep.

    names is a dictionary of sets of field names by name of model."""
    result = {}
    for model, values in snapshot.items():
        kept = names.get(model)
        if not kept:
            continue
        if _is_lines(values):
            result[model] = {
                id_: {n: v for n, v in line.items() if n in kept}
                for id_, line in values.items()}
        else:
            result[model] = {n: v for n, v in values.items() if n in kept}
    return result


def differences(old, new):
    """Yield what differs between two snapshots as (model, id, field, old, new)

    The id is None for the header. The field is None for a line that stands in
    one of the snapshots only; the missing side is then None and the other the
    dictionary of its values. What is reviewed may have changed between them:
    a field that the new one no longer has does not differ, neither does one
    that it has besides and which is empty."""
    for model in sorted(old.keys() | new.keys()):
        before, after = old.get(model, {}), new.get(model, {})
        if not (_is_lines(before) or _is_lines(after)):
            yield from _differences(model, None, before, after)
            continue
        for id_ in sorted(before.keys() | after.keys(), key=int):
            if id_ in before and id_ in after:
                yield from _differences(
                    model, int(id_), before[id_], after[id_])
            else:
                yield (
                    model, int(id_), None, before.get(id_), after.get(id_))


def _differences(model, id_, before, after):
    for name, value in sorted(after.items()):
        if name in before:
            different = before[name] != value
        else:
            different = value not in _EMPTY
        if different:
            yield model, id_, name, before.get(name), value


def _is_lines(values):
    return any(isinstance(v, dict) for v in values.values())
