"""Command-line options for text configs."""

from __future__ import annotations

from mmengine.config import Config, ConfigDict


def merge_options(cfg: Config, options: dict | None) -> Config:
    """Merge ``--cfg-options`` into a config, and through its variables.

    A text config writes ``data_root = 'data'`` once and uses it in many places; by the time
    an option arrives, those places hold the old value. So an option that replaces a
    top-level plain value (``data_root``, ``crop_size``, ...) also replaces it wherever the
    same key holds the same old value further down. Everything else is mmengine's own merge.

    Args:
        cfg: The config; changed in place.
        options: Dotted keys and values, as :class:`mmengine.config.DictAction` gives them.

    Returns:
        ``cfg``.
    """
    options = dict(options or {})
    for key, new in options.items():
        old = cfg.get(key)
        if '.' not in key and old is not None and not isinstance(old, (dict, list)):
            _replace(cfg._cfg_dict, key, old, new)
    cfg.merge_from_dict(options)
    return cfg


def _replace(node: object, key: str, old: object, new: object) -> None:
    if isinstance(node, (dict, ConfigDict)):
        for name, value in node.items():
            if name == key and value == old:
                node[name] = new
            else:
                _replace(value, key, old, new)
    elif isinstance(node, (list, tuple)):
        for value in node:
            _replace(value, key, old, new)
