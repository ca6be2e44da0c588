"""The part of Cloudify's package that scripts of blueprints use."""
from cloudify import manager
from cloudify.context import ctx

__all__ = ['ctx', 'manager']
