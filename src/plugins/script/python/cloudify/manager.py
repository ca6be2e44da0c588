"""The REST client of the manager: dockctl itself keeps the secrets."""
import json

from cloudify_rest_client.exceptions import CloudifyClientError


class Secret(dict):
    """A secret: its key, and its value unless it is listed."""

    @property
    def key(self):
        return self.get('key')

    @property
    def value(self):
        return self.get('value')


def _text(value):
    if isinstance(value, (dict, list, bool)) or value is None:
        return json.dumps(value)
    return str(value)


def _ask(request):
    from cloudify import context
    try:
        return context.ask({'secret': request})
    except context.RequestError as error:
        raise CloudifyClientError(error.message, status_code=error.status_code)


class _Secrets(object):
    """The secrets that the blueprint mentions, and those that this deployment made."""

    @staticmethod
    def get(key, **options):
        return Secret(_ask({'action': 'get', 'key': key}))

    @staticmethod
    def list(key=None, **options):
        if isinstance(key, (list, tuple)):
            key = key[0] if key else None
        request = {'action': 'list'}
        if key is not None:
            request['key'] = key
        return [Secret(secret) for secret in _ask(request)]

    @staticmethod
    def create(key, value, update_if_exists=False, **options):
        return Secret(_ask({'action': 'create', 'key': key, 'value': _text(value),
                            'update_if_exists': update_if_exists}))

    @staticmethod
    def update(key, value=None, **options):
        return Secret(_ask({'action': 'update', 'key': key, 'value': _text(value)}))

    @staticmethod
    def delete(key, **options):
        return _ask({'action': 'delete', 'key': key})


class _RestClient(object):
    """Only its secrets exist."""

    def __init__(self):
        self.secrets = _Secrets()

    def __getattr__(self, name):
        raise CloudifyClientError(
            'dockctl has no manager: get_rest_client() offers only `secrets`, not `{0}`'.format(name),
            status_code=404)


def get_rest_client(*args, **kwargs):
    return _RestClient()
