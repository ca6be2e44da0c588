"""The context of an operation, from dockctl over a socket."""
import json
import os
import socket
import struct
import sys
import threading

from cloudify import exceptions
from cloudify import state

_SOCKET = os.environ.pop('CTX_SOCKET', None)
_LOCK = threading.Lock()
MAX_FRAME = 1 << 20
_connection = []


class RequestError(RuntimeError):
    """dockctl refused a request."""

    def __init__(self, kind, message):
        super(RequestError, self).__init__(message)
        self.kind = kind
        self.message = message
        self.status_code = {'NotFound': 404, 'Conflict': 409}.get(kind, 400)


class StopOperation(Exception):
    """The operation is to stop."""


def _connect():
    if not _connection:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        directory, name = os.path.split(_SOCKET)
        if len(_SOCKET) > 100:
            opened = os.open(directory, os.O_RDONLY)
            connected.connect('/proc/self/fd/%d/%s' % (opened, name))
            os.close(opened)
        else:
            connected.connect(_SOCKET)
        _connection.append(connected)
    return _connection[0]


def _read(connected, length):
    parts = []
    while length:
        part = connected.recv(length)
        if not part:
            raise EOFError('dockctl no longer serves this operation')
        parts.append(part)
        length -= len(part)
    return b''.join(parts)


def _exchange(request):
    text = json.dumps(request).encode('utf-8')
    if len(text) > MAX_FRAME:
        raise ValueError('a request to dockctl has at most 1 MiB')
    try:
        with _LOCK:
            connected = _connect()
            connected.sendall(struct.pack('>I', len(text)) + text)
            length, = struct.unpack('>I', _read(connected, 4))
            return json.loads(_read(connected, length).decode('utf-8'))
    except (EOFError, OSError, socket.error):
        # The next dockctl must not take the exit code of this script for its outcome.
        open(os.path.join(os.path.dirname(_SOCKET), 'cut'), 'w').close()
        raise


def ask(request):
    """Sends a request and returns the value of the reply."""
    reply = _exchange(request)
    payload = reply['payload']
    if reply['type'] == 'error':
        if payload['type'] == 'NonRecoverableError':
            raise exceptions.NonRecoverableError(payload['message'])
        raise RequestError(payload['type'], payload['message'])
    if reply['type'] == 'stop_operation':
        return StopOperation(payload['message'])
    return payload


def call(*arguments):
    """Calls ctx like its command line does."""
    try:
        return ask({'args': list(arguments)})
    except RequestError as error:
        if error.kind == 'RuntimeError':
            raise RuntimeError(error.message)
        if error.kind == 'TypeError':
            raise TypeError(error.message)
        raise


def _plain(value):
    """Returns a copy of a value that JSON can hold."""
    return json.loads(json.dumps(value))


class RuntimeProperties(dict):
    """Runtime properties. Every change is stored at once, or when the script ends."""

    def __init__(self, side, values):
        super(RuntimeProperties, self).__init__(values)
        self._side = side
        self._stored = _plain(values)

    def __setitem__(self, name, value):
        _plain(value)  # A value that JSON cannot hold must not stay.
        super(RuntimeProperties, self).__setitem__(name, value)
        self.store()

    def __delitem__(self, name):
        super(RuntimeProperties, self).__delitem__(name)
        self.store()

    def update(self, E=None, **values):
        _plain(dict(E or {}, **values))
        super(RuntimeProperties, self).update(E or {}, **values)
        self.store()

    def pop(self, *arguments):
        value = super(RuntimeProperties, self).pop(*arguments)
        self.store()
        return value

    def popitem(self):
        item = super(RuntimeProperties, self).popitem()
        self.store()
        return item

    def setdefault(self, name, default=None):
        _plain(default)
        value = super(RuntimeProperties, self).setdefault(name, default)
        self.store()
        return value

    def clear(self):
        super(RuntimeProperties, self).clear()
        self.store()

    def store(self):
        """Stores what changed since the last time."""
        now = _plain(dict(self))
        edits = [{'path': [name], 'value': value} for name, value in now.items()
                 if name not in self._stored or self._stored[name] != value
                 or type(self._stored[name]) is not type(value)]
        edits += [{'path': [name]} for name in self._stored if name not in now]
        if edits:
            ask({'change': self._side, 'edits': edits})
            self._stored = now


class ReadOnly(dict):
    """Runtime properties of a related instance."""

    def _refuse(self, *args, **kwargs):
        raise exceptions.NonRecoverableError(
            'Cannot modify runtime properties of relationship node instances')

    __setitem__ = __delitem__ = update = pop = popitem = setdefault = clear = _refuse


class NodeProperties(dict):
    """Properties of a node, and mappings inside of them."""

    def __init__(self, values):
        inner = [(name, NodeProperties(value) if isinstance(value, dict) else value)
                 for name, value in values.items()]
        super(NodeProperties, self).__init__(inner)

    def _refuse(self, *args, **kwargs):
        raise exceptions.NonRecoverableError('Cannot override read only properties')

    __setitem__ = __delitem__ = update = pop = popitem = setdefault = clear = _refuse


class Node(object):
    """A node."""

    def __init__(self, values):
        self.id = values['id']
        self.name = values['name']
        self.type = values['type']
        self.type_hierarchy = values['type_hierarchy']
        self.properties = NodeProperties(values['properties'])
        self.number_of_instances = values.get('number_of_instances')


class Relationship(object):
    """A relationship of an instance."""

    def __init__(self, values):
        self.type = values['type']
        self.type_hierarchy = values['type_hierarchy']
        self.target = Subject(values['target'], None)


class Instance(object):
    """An instance of a node."""

    def __init__(self, values, side):
        self.id = values['id']
        self.index = values['index']
        self._side = side
        self._has_host = values.get('has_host')
        self._host_ip = values.get('host_ip')
        properties = values['runtime_properties']
        self._properties = (RuntimeProperties(side, properties) if side
                            else ReadOnly(properties))
        self._relationships = values['relationships']

    @property
    def runtime_properties(self):
        return self._properties

    @runtime_properties.setter
    def runtime_properties(self, values):
        if not self._side:
            self._properties.update(values)
        for name in list(self._properties):
            if name not in values:
                dict.__delitem__(self._properties, name)
        self._properties.update(values)

    @property
    def relationships(self):
        return [Relationship(values) for values in self._relationships]

    @property
    def host_ip(self):
        if not self._has_host:
            raise exceptions.NonRecoverableError('host_id missing')
        return self._host_ip

    def update(self, on_conflict=None):
        if self._side:
            self._properties.store()

    def refresh(self, force=False):
        pass


class Subject(object):
    """A node with its instance: an end of a relationship."""

    def __init__(self, values, side):
        self.node = Node(values['node'])
        self.instance = Instance(values['instance'], side)


class Logger(object):
    """Logs to dockctl. Arguments are formatted with `%`."""

    name = 'ctx'
    level = 0

    @staticmethod
    def _log(level, message, *arguments, **options):
        text = str(message)
        if arguments:
            values = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], dict) \
                else arguments
            text = text % values
        if options.get('exc_info'):
            import traceback
            text += '\n' + traceback.format_exc().rstrip()
        ask({'args': ['logger', level, text]})

    def log(self, level, message, *arguments, **options):
        names = {10: 'debug', 20: 'info', 30: 'warning', 40: 'error', 50: 'critical'}
        self._log(names.get(level, 'info'), message, *arguments, **options)

    def debug(self, message, *arguments, **options):
        self._log('debug', message, *arguments, **options)

    def info(self, message, *arguments, **options):
        self._log('info', message, *arguments, **options)

    def warning(self, message, *arguments, **options):
        self._log('warning', message, *arguments, **options)

    warn = warning

    def error(self, message, *arguments, **options):
        self._log('error', message, *arguments, **options)

    def exception(self, message, *arguments, **options):
        options['exc_info'] = True
        self._log('error', message, *arguments, **options)

    def critical(self, message, *arguments, **options):
        self._log('critical', message, *arguments, **options)

    fatal = critical

    def setLevel(self, level):
        pass

    def isEnabledFor(self, level):
        return True


class Nothing(object):
    """Settings of a manager, which dockctl does not have."""

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return None


class Capabilities(object):
    """The runtime properties of related instances."""

    @staticmethod
    def get_all():
        return call('capabilities', 'get-all')

    def _find(self, name):
        return [values[name] for values in self.get_all().values() if name in values]

    def __contains__(self, name):
        return bool(self._find(name))

    def __getitem__(self, name):
        found = self._find(name)
        if not found:
            raise KeyError(name)
        if len(found) > 1:
            raise RuntimeError('several related instances have the property ' + name)
        return found[0]


class Values(object):
    """Values as attributes."""

    def __init__(self, values):
        self.__dict__.update(values)


class Operation(Values):
    """The operation."""

    @staticmethod
    def retry(message=None, retry_after=None):
        call('operation', 'retry', {'message': message, 'retry_after': retry_after})
        return message


class Context(object):
    """The context of the operation."""

    def __init__(self):
        self._values = None
        self._parts = {}
        self.logger = Logger()

    def _described(self):
        if self._values is None:
            self._values = ask({'describe': True})
            values = self._values
            if 'node' in values:
                own = Subject(values, 'own')
                self._parts['node'], self._parts['instance'] = own.node, own.instance
            for side in ('source', 'target'):
                if side in values:
                    self._parts[side] = Subject(values[side], side)
            for name in ('deployment', 'blueprint', 'plugin'):
                self._parts[name] = Values(values[name])
            self._parts['operation'] = Operation(values['operation'])
        return self._values

    def _side(self, name):
        self._described()
        if name not in self._parts:
            call(name)  # Raises the error of this context.
        return self._parts[name]

    node = property(lambda self: self._side('node'))
    instance = property(lambda self: self._side('instance'))
    source = property(lambda self: self._side('source'))
    target = property(lambda self: self._side('target'))
    deployment = property(lambda self: self._side('deployment'))
    blueprint = property(lambda self: self._side('blueprint'))
    operation = property(lambda self: self._side('operation'))
    plugin = property(lambda self: self._side('plugin'))
    type = property(lambda self: self._described()['type'])
    workflow_id = property(lambda self: self._described()['workflow_id'])
    execution_id = property(lambda self: self._described()['execution_id'])
    task_id = execution_id
    task_name = property(lambda self: self._described()['task_name'])
    tenant_name = 'default_tenant'
    bootstrap_context = Nothing()
    capabilities = Capabilities()

    def returns(self, value=None):
        call('returns', value, {})

    def abort_operation(self, message=None):
        return call('abort-operation', {'message': message})

    def retry_operation(self, message=None, retry_after=None):
        return call('retry-operation', {'message': message, 'retry_after': retry_after})

    def send_event(self, event):
        call('send-event', event)

    def get_resource(self, resource_path):
        return _content(self.download_resource(resource_path))

    def get_resource_and_render(self, resource_path, template_variables=None):
        return _content(self.download_resource_and_render(
            resource_path, template_variables=template_variables))

    def download_resource(self, resource_path, target_path=None):
        return call('download-resource', resource_path, *self._target(target_path))

    def download_resource_and_render(self, resource_path, target_path=None,
                                     template_variables=None):
        flush()
        variables = {'template_variables': template_variables or {}}
        return call('download-resource-and-render', resource_path,
                    *(self._target(target_path) + [variables]))

    @staticmethod
    def _target(path):
        return [os.path.abspath(path)] if path else []

    def __call__(self, command):
        """Calls ctx with a command line."""
        import shlex
        return call(*shlex.split(command))


def _content(path):
    """Returns the content of a copy, and removes it."""
    with open(path, 'rb') as source:
        content = source.read()
    os.remove(path)
    return content


def flush():
    """Stores changes inside of runtime properties."""
    for name in ('instance', 'source', 'target'):
        part = ctx._parts.get(name)
        instance = getattr(part, 'instance', part)
        if instance is not None:
            instance.update()


ctx = Context()
state.ctx = ctx
