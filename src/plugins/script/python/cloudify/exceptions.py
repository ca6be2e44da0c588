"""Exceptions that decide what happens to an operation."""


class NonRecoverableError(Exception):
    """The operation fails and is not retried."""

    def __init__(self, *args, **kwargs):
        self.causes = kwargs.pop('causes', None) or []
        super(NonRecoverableError, self).__init__(*args)


class RecoverableError(Exception):
    """The operation fails and is retried, after `retry_after` seconds if given."""

    def __init__(self, message='', retry_after=None, causes=None, **kwargs):
        self.retry_after = retry_after
        self.causes = causes or []
        super(RecoverableError, self).__init__(message)


class OperationRetry(RecoverableError):
    """The operation did not fail, but has to run again."""


class HttpException(NonRecoverableError):
    """A request failed."""

    def __init__(self, url, code, message, causes=None, **kwargs):
        self.url = url
        self.code = code
        self.message = message
        text = '{0} ({1}) : {2}'.format(code, url, message)
        super(HttpException, self).__init__(text, causes=causes)


class CommandExecutionException(Exception):
    """A command failed."""

    def __init__(self, command, error, output, code):
        self.command = command
        self.error = error
        self.output = output
        self.code = code
        super(CommandExecutionException, self).__init__(
            "Failed executing command '{0}', exit code {1}: {2}".format(
                command, code, error))


class CommandExecutionError(CommandExecutionException):
    """A command could not be run."""


class TimeoutException(Exception):
    """Something took too long."""

    def __init__(self, *args):
        super(TimeoutException, self).__init__(*args)
