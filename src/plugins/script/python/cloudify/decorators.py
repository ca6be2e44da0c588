"""Decorators of operations and workflows."""
import functools
import inspect


def operation(func=None, resumable=False, **options):
    """Passes the context and the inputs to a function, as far as it names them."""
    if func is None:
        return functools.partial(operation, resumable=resumable, **options)

    signature = inspect.signature(func)

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        from cloudify.context import ctx
        from cloudify.state import ctx_parameters
        given = signature.bind_partial(*args, **kwargs).arguments
        for name in signature.parameters:
            if name in given:
                continue
            if name == 'ctx':
                kwargs[name] = ctx
            elif name in ctx_parameters:
                kwargs[name] = ctx_parameters[name]
        return func(*args, **kwargs)
    return wrapper


def workflow(func=None, **options):
    """Marks a workflow. dockctl does not run workflows that are scripts."""
    if func is None:
        return functools.partial(workflow, **options)
    return func


task = operation
