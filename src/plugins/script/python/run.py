"""Runs a Python script of a blueprint. Arguments: path of the script."""
import io
import json
import os
import sys
import traceback

from cloudify import context, exceptions, state

# Parts of a traceback that are shown: each is a frame of two lines.
LINES = 10


def bases(error):
    own = (exceptions.NonRecoverableError, exceptions.RecoverableError,
           exceptions.OperationRetry)
    return [base.__name__ for base in own if isinstance(error, base)]


def script_traceback():
    """Returns the traceback without the frame of this program."""
    kind, error, frames = sys.exc_info()
    frames = frames.tb_next or frames
    return ''.join(traceback.format_exception(kind, error, frames)[-LINES:])


def report(error):
    own = bases(error)
    context.ask({'raise': {
        'class': type(error).__name__,
        'message': str(error),
        'bases': own,
        'retry_after': getattr(error, 'retry_after', None),
        'traceback': '' if own else script_traceback(),
    }})


def is_success(error):
    return isinstance(error, SystemExit) and error.code in (None, 0)


def main():
    path = sys.argv[1]
    directory = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with io.open(os.path.join(directory, 'inputs.json'), encoding='utf-8') as source:
        state.ctx_parameters.update(json.load(source))
    state.ctx_parameters['ctx'] = context.ctx
    sys.argv = [path]
    with io.open(path, 'rb') as source:
        text = source.read()
    names = {'__name__': '__main__', '__file__': path, '__builtins__': __builtins__}
    try:
        exec(compile(text, path, 'exec'), names)
    except BaseException as error:
        context.flush()
        if not is_success(error):
            report(error)
            sys.exit(1)
    context.flush()


if __name__ == '__main__':
    # Scripts that import the module `__main__` get an empty one of their own.
    main()
