"""Decorators of operations and workflows."""
import functools


def operation(func=None, resumable=False, **options):
    """Passes the context and the inputs of the operation to a function."""
    if func is None:
        return functools.partial(operation, resumable=resumable, **options)

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        from cloudify.context import ctx
        from cloudify.state import ctx_parameters
        for name, value in ctx_parameters.items():
            if name not in ('script_path', 'script_source', 'process'):
                kwargs.setdefault(name, value)
        kwargs.setdefault('ctx', ctx)
        return func(*args, **kwargs)
    return wrapper


def workflow(func=None, **options):
    """Marks a workflow. dockctl does not run workflows that are scripts."""
    if func is None:
        return functools.partial(workflow, **options)
    return func


task = operation
