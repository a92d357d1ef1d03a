"""Clients that fall silent for just about as long as they may.

Each statement takes a number from its client's sequence, which no rollback
gives back, and writes a row with a number of its own.  So afterwards it is
known of each statement whether it was started, whether it was committed, and
whether the client was told.
"""
import collections
import logging
import random
import threading
import time

import psycopg

import wire

# It warns of each connection that it finds lost
logging.getLogger('psycopg').setLevel(logging.ERROR)

USER = 'stress'


class Plan:
    """What all clients keep to; times are in seconds."""

    def __init__(self, limit, before, after, deadline, enough=None, bouncer_port=None):
        self.limit = limit
        self.before = before
        self.after = after
        self.deadline = deadline
        self.enough = enough
        self.bouncer_port = bouncer_port
        self.ends = 0

    def goes_on(self):
        return time.monotonic() < self.deadline and (self.enough is None or self.ends < self.enough)

    def rest(self):
        """As long as the limit, give or take a little."""
        time.sleep(self.limit + random.uniform(-self.before, self.after))


class Client(threading.Thread):
    """One client, which connects again whenever its connection is gone."""

    tls = False
    tcp = False
    through_bouncer = False
    reasons = ('57P05',)
    hears_reason = True

    def __init__(self, number, plan):
        super().__init__(name=f'{type(self).__name__} {number}', daemon=True)
        self.number = number
        self.plan = plan
        self.connection = None
        self.in_transaction = False
        self.in_statement = False   # the server has said that it has begun
        self.next_id = 0
        self.started = 0        # numbers that must have left the sequence
        self.committed = set()
        self.ends = collections.Counter()   # by SQLSTATE
        self.wrong_ends = collections.Counter()
        self.cut = 0            # statements that the server had begun
        self.failure = None

    # What a client is to do in one round; it has just been ready.
    def work(self):
        raise NotImplementedError

    def run(self):
        try:
            while self.plan.goes_on():
                self.connect()
                try:
                    self.prepare()
                    while self.plan.goes_on():
                        self.plan.rest()
                        self.work()
                except wire.Ended as end:
                    self.note_end(end.sqlstates)
                else:
                    self.connection.close()
        except Exception as error:  # pylint: disable=broad-except
            self.failure = f'{self.name}: {type(error).__name__}: {error}'

    def connect(self):
        port = self.plan.bouncer_port if self.through_bouncer else None
        self.connection = wire.Connection(USER, port=port, tls=self.tls,
                                          tcp=self.tcp or self.through_bouncer)
        self.in_transaction = self.in_statement = False

    def prepare(self):
        """What a new connection needs."""

    def note_end(self, sqlstates):
        self.plan.ends += 1
        why = ' '.join(sqlstates) or 'no reason'
        self.ends[why] += 1
        if self.in_statement:
            self.cut += 1
        elif sqlstates or self.hears_reason:
            if why.split()[0] not in (('25P03',) if self.in_transaction else self.reasons):
                self.wrong_ends[why] += 1

    def new_statement(self):
        """A statement that writes one row; its number, and its text."""
        self.next_id += 1
        return self.next_id, (
            f"INSERT INTO stress_row SELECT {self.number}, {self.next_id}"
            f" FROM nextval('stress_{self.number}'), pg_sleep(0.001)")

    def answered(self, *ids):
        self.started += len(ids)
        self.committed.update(ids)


class Simple(Client):
    """One message, one statement."""

    def work(self):
        number, sql = self.new_statement()
        self.connection.query(sql)
        self.answered(number)


class Extended(Client):
    """Parse, Bind, Execute and Sync at once."""

    def work(self):
        number, sql = self.new_statement()
        self.connection.send(wire.extended_messages(sql) + wire.SYNC)
        self.connection.until_ready()
        self.answered(number)


class Prepared(Client):
    """A prepared statement: Bind comes first.  It makes up its own numbers."""

    def prepare(self):
        sql = (f"INSERT INTO stress_row SELECT {self.number}, n FROM nextval('stress_{self.number}') n,"
               " pg_sleep(0.001)")
        self.connection.send(wire.message(b'P', f'insert\0{sql}\0'.encode() + b'\0\0') + wire.SYNC)
        self.connection.until_ready()

    def work(self):
        self.connection.send(wire.extended_messages('', 'insert', parse=False) + wire.SYNC)
        self.connection.until_ready()
        self.next_id += 1
        self.answered(self.next_id)


class Pipeline(Client):
    """Two statements, and a pause before Sync as long as the limit."""

    def work(self):
        first, first_sql = self.new_statement()
        second, second_sql = self.new_statement()
        self.connection.send(wire.extended_messages(first_sql) + wire.FLUSH)
        self.connection.until(b'C')
        self.in_statement = True
        self.plan.rest()
        self.connection.send(wire.extended_messages(second_sql) + wire.SYNC)
        self.connection.until_ready()
        self.in_statement = False
        self.answered(first, second)


class Copy(Client):
    """A pause as long as the limit in the middle of the data."""

    def work(self):
        self.next_id += 2
        ids = (self.next_id - 1, self.next_id)
        self.connection.send(wire.query_message('COPY stress_row FROM STDIN'))
        self.connection.until(b'G')
        self.in_statement = True
        self.connection.send(wire.copy_data(f'{self.number}\t{ids[0]}\n'))
        self.plan.rest()
        self.connection.send(wire.copy_data(f'{self.number}\t{ids[1]}\n') + wire.COPY_DONE)
        self.connection.until_ready()
        self.in_statement = False
        self.committed.update(ids)


class Transaction(Client):
    """Falls silent within a transaction, too."""

    def work(self):
        self.connection.query('BEGIN')
        self.in_transaction = True
        ids = []
        for _ in range(2):
            number, sql = self.new_statement()
            self.connection.query(sql)
            self.started += 1
            ids.append(number)
            self.plan.rest()
        self.connection.query('COMMIT')
        self.in_transaction = False
        self.committed.update(ids)


class Large(Client):
    """A statement of many packets, sent in parts."""

    padding = '/*' + 'x' * 150_000 + '*/'

    def work(self):
        number, sql = self.new_statement()
        data = wire.query_message(f'{self.padding} {sql}')
        at = random.choice((1, 3, 5, 8192, 8193, 65536, len(data) - 1))
        self.connection.send(data[:at])
        time.sleep(random.uniform(0, 0.004))
        self.connection.send(data[at:])
        self.connection.until_ready()
        self.answered(number)


class Bouncer(Client):
    """Through PgBouncer: it is PgBouncer's sessions that are ended.

    Where a statement was on its way to a session that was ending, PgBouncer
    passes on what the server has said, or, if it noticed first that it could
    not send, says 08P01 in its own name.
    """

    through_bouncer = True
    reasons = ('57P05', '08P01')

    def work(self):
        number, sql = self.new_statement()
        self.connection.query(sql)
        self.answered(number)


class PsycopgPipeline(Client):
    """Three statements at once, each with a Sync of its own: the session is
    idle for an instant between them.  The driver says that the connection is
    lost, but not always why.
    """

    hears_reason = False

    def connect(self):
        self.in_transaction = self.in_statement = False
        self.connection = psycopg.connect(user=USER, dbname='postgres', autocommit=True)

    def work(self):
        cursors = {}
        try:
            with self.connection.pipeline() as pipeline:
                for number, sql in [self.new_statement() for _ in range(3)]:
                    cursors[number] = self.connection.execute(sql)
                    pipeline.sync()
        except psycopg.OperationalError as error:
            raise wire.Ended([error.sqlstate] if error.sqlstate else []) from error
        finally:
            self.answered(*(number for number, cursor in cursors.items() if cursor.statusmessage))


class TlsSimple(Simple):
    """The same, encrypted."""

    tls = True


class TlsExtended(Extended):
    """The same, encrypted."""

    tls = True


class TlsLarge(Large):
    """The same, encrypted: the parts of a message are records of their own."""

    tls = True


class TcpTransaction(Transaction):
    """The same, over TCP."""

    tcp = True


KINDS = (Simple, Extended, Prepared, Pipeline, Copy, Transaction, Large, Bouncer, PsycopgPipeline,
         TlsSimple, TlsExtended, TlsLarge, TcpTransaction)


def create_tables(connection, clients):
    connection.query(
        f'CREATE TABLE stress_row (client int, id bigint);'
        f'CREATE ROLE {USER} LOGIN;'
        f'GRANT SELECT, INSERT ON stress_row TO {USER}')
    for number in range(clients):
        connection.query(f'CREATE SEQUENCE stress_{number}; GRANT USAGE ON stress_{number} TO {USER}')


def drop_tables(connection, clients):
    connection.query('DROP TABLE stress_row')
    for number in range(clients):
        connection.query(f'DROP SEQUENCE stress_{number}')
    connection.query(f'DROP ROLE {USER}')


class Verdict:
    """What has become of the statements, and of the connections."""

    def __init__(self, connection, clients):
        rows = collections.defaultdict(collections.Counter)
        for client, row_id in connection.query('SELECT client, id FROM stress_row'):
            rows[int(client)][int(row_id)] += 1

        self.statements = sum(len(client.committed) for client in clients)
        self.cut = self.lost = self.half_done = self.twice = 0
        self.ends = collections.Counter()
        self.wrong_ends = collections.Counter()
        self.failures = [client.failure for client in clients if client.failure]
        for client in clients:
            found = rows[client.number]
            if isinstance(client, Prepared):
                # its rows have the numbers of the sequence
                done = sum(found.values())
                self.lost += max(client.started - done, 0)
                self.half_done += max(done - client.started, 0)
            else:
                self.lost += len(client.committed - found.keys())
                self.half_done += len(found.keys() - client.committed)
            self.twice += sum(1 for count in found.values() if count > 1)
            started = int(connection.query(
                f'SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM stress_{client.number}')[0][0])
            # what a pipeline had begun was noted when its connection ended
            begun = client.cut if isinstance(client, Pipeline) else 0
            self.cut += client.cut + max(started - client.started - begun, 0)
            self.ends.update(client.ends)
            self.wrong_ends.update(client.wrong_ends)

    def facts(self):
        """(holds, fact, figures) for each thing that must be so."""
        return (
            (not self.failures, 'no client failed', self.failures[:5]),
            (self.cut == 0, 'not one statement was cut', f'{self.cut} were'),
            (self.half_done == 0, 'no statement was executed without an answer', f'{self.half_done} were'),
            (self.lost == 0, 'every statement that was answered was executed', f'{self.lost} were not'),
            (self.twice == 0, 'none was executed twice', f'{self.twice} were'),
            (not self.wrong_ends,
             'every connection that was lost ended with 57P05, or 25P03 in a transaction (PgBouncer may say 08P01)',
             dict(self.wrong_ends)),
        )
