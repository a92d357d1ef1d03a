"""A client that speaks the protocol itself: it can pause in the middle of
anything, and sees how its connection ended.

The server must trust its clients.
"""
import os
import socket
import ssl
import struct

PATIENCE = 60


class Ended(Exception):
    """The connection has ended; says with which SQLSTATEs, in their order."""

    def __init__(self, sqlstates):
        super().__init__(f'the connection has ended: {sqlstates}')
        self.sqlstates = sqlstates


class Refused(Exception):
    """The server answered with an error."""

    def __init__(self, sqlstate, message):
        super().__init__(f'{sqlstate}: {message}')
        self.sqlstate = sqlstate


def message(kind, body=b''):
    return kind + struct.pack('!I', len(body) + 4) + body


def query_message(sql):
    return message(b'Q', sql.encode() + b'\0')


def extended_messages(sql, name='', parse=True):
    """Parse, Bind and Execute."""
    messages = b''
    if parse:
        messages = message(b'P', f'{name}\0{sql}\0'.encode() + b'\0\0')
    return (messages + message(b'B', f'\0{name}\0'.encode() + b'\0\0\0\0\0\0')
            + message(b'E', b'\0\0\0\0\0'))


SYNC = message(b'S')
FLUSH = message(b'H')
COPY_DONE = message(b'c')


def copy_data(text):
    return message(b'd', text.encode())


class Connection:
    """One connection.

    TLS is made in memory, and the bytes are sent and received here, so that
    what the server has said last can be read even when it no longer listens.
    """

    def __init__(self, user, dbname='postgres', port=None, tls=False, tcp=False):
        port = int(port or os.environ['PGPORT'])
        if tls or tcp:
            self.socket = socket.create_connection(('127.0.0.1', port), PATIENCE)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(PATIENCE)
            self.socket.connect(f"{os.environ['PGHOST']}/.s.PGSQL.{port}")
        self.buffer = bytearray()
        self.sqlstates = ()
        self.pid = None
        self.tls = None
        if tls:
            self._start_tls()
        body = struct.pack('!I', 3 << 16)
        for text in ('user', user, 'database', dbname, 'application_name', 'stress', ''):
            body += text.encode() + b'\0'
        self.send(struct.pack('!I', len(body) + 4) + body)
        self.until_ready()

    def _start_tls(self):
        self.socket.sendall(struct.pack('!II', 8, 80877103))
        if self.socket.recv(1) != b'S':
            raise RuntimeError('the server does not speak TLS')
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing)
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.socket.sendall(self.outgoing.read())
                self.incoming.write(self.socket.recv(65536))
        self.socket.sendall(self.outgoing.read())

    def send(self, data):
        """Whether it arrives shows in what is read afterwards."""
        if self.tls:
            self.tls.write(data)
            data = self.outgoing.read()
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def _receive(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b''
        if not data:
            self.close()
            raise Ended(self.sqlstates)
        if not self.tls:
            self.buffer += data
            return
        self.incoming.write(data)
        try:
            # nothing but an empty read says that the server has said goodbye
            while data := self.tls.read(65536):
                self.buffer += data
        except ssl.SSLWantReadError:
            pass

    def read(self):
        """The next message, as (kind, body)."""
        while True:
            if len(self.buffer) >= 5:
                length = struct.unpack_from('!I', self.buffer, 1)[0]
                if len(self.buffer) > length:
                    kind, body = bytes(self.buffer[:1]), bytes(self.buffer[5:length + 1])
                    del self.buffer[:length + 1]
                    return kind, body
            self._receive()

    def until(self, wanted):
        """Reads up to a message of that kind; an error on the way is raised
        when the server is ready again.  Returns the rows."""
        rows, error = [], None
        while True:
            kind, body = self.read()
            if kind == b'E':
                fields = {field[:1]: field[1:].decode() for field in body.split(b'\0') if field}
                self.sqlstates += (fields[b'C'],)
                error = Refused(fields[b'C'], fields[b'M'])
            elif kind == b'K':
                self.pid = struct.unpack_from('!I', body)[0]
            elif kind == b'D':
                rows.append(self._row(body))
            if error and kind == b'Z':
                raise error
            if kind == wanted:
                return rows

    @staticmethod
    def _row(body):
        values, at = [], 2
        for _ in range(struct.unpack_from('!H', body)[0]):
            length = struct.unpack_from('!i', body, at)[0]
            at += 4
            values.append(None if length < 0 else body[at:at + length].decode())
            at += max(length, 0)
        return values

    def until_ready(self):
        return self.until(b'Z')

    def query(self, sql):
        self.send(query_message(sql))
        return self.until_ready()

    def close(self):
        self.socket.close()
