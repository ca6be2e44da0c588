"""Helper functions."""
import logging
import os
import shlex
import subprocess
import sys
import tempfile
import traceback

from cloudify.exceptions import CommandExecutionException


def exception_to_error_cause(exception, tb):
    """Describes an exception as a mapping."""
    lines = traceback.format_exception(type(exception), exception, tb)
    return {
        'message': str(exception),
        'type': type(exception).__name__,
        'traceback': ''.join(lines),
    }


def setup_logger(logger_name, logger_level=logging.INFO, handlers=None, **options):
    logger = logging.getLogger(logger_name)
    logger.setLevel(logger_level)
    for handler in handlers or [logging.StreamHandler(sys.stdout)]:
        logger.addHandler(handler)
    return logger


def get_local_ip():
    return '127.0.0.1'


def create_temp_folder():
    return tempfile.mkdtemp()


def get_exec_tempdir():
    return os.environ.get('CFY_EXEC_TEMP') or tempfile.gettempdir()


class CommandExecutionResponse(object):
    """The result of a command."""

    def __init__(self, command, std_out, std_err, return_code):
        self.command = command
        self.std_out = std_out
        self.std_err = std_err
        self.return_code = return_code


class LocalCommandRunner(object):
    """Runs commands."""

    def __init__(self, logger=None, host='localhost'):
        from cloudify.context import ctx
        self.logger = logger or ctx.logger
        self.host = host

    def run(self, command, exit_on_failure=True, stdout_pipe=True, stderr_pipe=True,
            cwd=None, execution_env=None, encoding='utf-8'):
        words = command if isinstance(command, list) else shlex.split(command)
        environment = dict(os.environ, **(execution_env or {}))
        process = subprocess.Popen(
            words, cwd=cwd, env=environment,
            stdout=subprocess.PIPE if stdout_pipe else None,
            stderr=subprocess.PIPE if stderr_pipe else None)
        out, error = process.communicate()
        out = (out or b'').decode(encoding, 'replace').rstrip()
        error = (error or b'').decode(encoding, 'replace').rstrip()
        if process.returncode and exit_on_failure:
            raise CommandExecutionException(command, error, out, process.returncode)
        return CommandExecutionResponse(command, out, error, process.returncode)

    def sudo(self, command, **options):
        words = command if isinstance(command, list) else shlex.split(command)
        return self.run(['sudo'] + words, **options)
