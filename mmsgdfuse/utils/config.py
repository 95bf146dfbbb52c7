"""Command-line options for text configs."""

from __future__ import annotations

from typing import Any

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


def insert_transform(node: Any, after: str, transform: dict[str, Any]) -> Any:
    """Put a transform into every pipeline of a part of a config.

    For a config that changes what its base's pipelines do, however deep they lie::

        train_dataloader = insert_transform(_base_.train_dataloader, 'GenerateMasks', new)

    Args:
        node: Config of a data loader, data set or pipeline; stays as it is.
        after: ``type`` of the transforms that the new one follows.
        transform: Config of the new one.

    Returns:
        A changed copy.

    Raises:
        ValueError: There is no transform ``after``.
    """
    changed, count = _inserted(node, after, transform)
    if not count:
        raise ValueError(f'there is no {after} to insert {transform["type"]} after')
    return changed


def _inserted(node: Any, after: str, transform: dict[str, Any]) -> tuple[Any, int]:
    """The changed copy, and how often the transform was inserted."""
    if isinstance(node, dict):
        parts = {key: _inserted(value, after, transform) for key, value in node.items()}
        return {key: part for key, (part, _) in parts.items()}, sum(n for _, n in parts.values())
    if not isinstance(node, (list, tuple)):
        return node, 0
    items: list[Any] = []
    total = 0
    for value in node:
        part, count = _inserted(value, after, transform)
        items.append(part)
        total += count
        if isinstance(value, dict) and value.get('type') == after:
            items.append(dict(transform))
            total += 1
    return type(node)(items), total


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
