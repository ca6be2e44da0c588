"""The inputs of the operation."""


class Parameters(dict):
    """A dict whose keys are attributes too. A missing attribute is a KeyError."""

    def __getattr__(self, name):
        if name.startswith('__') and name.endswith('__'):
            raise AttributeError(name)
        return self[name]

    def __setattr__(self, name, value):
        self[name] = value


ctx_parameters = Parameters()


class _CurrentContext(object):
    """The context of the operation."""

    @staticmethod
    def get_ctx():
        from cloudify.context import ctx
        return ctx

    @staticmethod
    def get_parameters():
        return ctx_parameters


current_ctx = _CurrentContext()
ctx = None  # Set by cloudify.context.
