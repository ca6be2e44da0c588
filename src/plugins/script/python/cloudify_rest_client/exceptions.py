"""Errors of the REST client."""


class CloudifyClientError(Exception):
    """A request failed."""

    def __init__(self, message, server_traceback=None, status_code=-1, error_code=None, **options):
        super(CloudifyClientError, self).__init__(message)
        self.message = message
        self.status_code = status_code
        self.error_code = error_code
        self.server_traceback = server_traceback

    def __str__(self):
        if self.status_code != -1:
            return '{0}: {1}'.format(self.status_code, self.message)
        return self.message
