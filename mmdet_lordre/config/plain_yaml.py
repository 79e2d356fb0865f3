"""YAML as data: mmengine's own loader builds any Python object that a file names."""
from collections.abc import Iterator
from contextlib import contextmanager

import yaml
from mmengine.fileio.handlers import yaml_handler


class PlainYAML(getattr(yaml, 'CSafeLoader', yaml.SafeLoader)):
    """Reads numbers, text, lists and dictionaries, and tuples.

    mmengine writes these into the configs that it dumps.
    """


PlainYAML.add_constructor('tag:yaml.org,2002:python/tuple',
                          lambda loader, node: tuple(loader.construct_sequence(node, deep=True)))


@contextmanager
def plain_yaml() -> Iterator[None]:
    """mmengine reads YAML as data for as long as this lasts, also in files of ``_base_``."""
    before = yaml_handler.Loader
    yaml_handler.Loader = PlainYAML
    try:
        yield
    finally:
        yaml_handler.Loader = before
