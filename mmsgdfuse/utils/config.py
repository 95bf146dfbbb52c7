"""Command-line options for text configs."""

from __future__ import annotations

import copy
import difflib
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import FlexibleRunner, Runner

from mmsgdfuse.registry import MODELS, SCOPE
from mmsgdfuse.utils.errors import MMSGDFuseError

# what is read from a config beside the arguments of mmengine's Runners
_READ_ELSEWHERE = {
    'phases', 'fused_from', 'runner_type', 'custom_imports', 'model_wrapper_cfg', 'tta_model',
    'tta_pipeline', 'find_unused_parameters', 'compile', 'auto_scale_lr',
}  # fmt: skip


class ConfigError(MMSGDFuseError, ValueError):
    """A config is wrong; the message names the key and the remedy."""


def walk(node: Any, path: str = '') -> Iterator[tuple[str, Any]]:
    """Every part of a config with its dotted path, the whole first; items of lists by number."""
    yield path, node
    for key, value in _children(node):
        yield from walk(value, f'{path}.{key}' if path else str(key))


def _children(node: Any) -> list[tuple[Any, Any]]:
    if isinstance(node, (Config, Mapping)):
        return list(node.items())
    if isinstance(node, (list, tuple)):
        return list(enumerate(node))
    return []


@cache
def runner_keys() -> frozenset[str]:
    """The top-level keys of a config that mean something; any other is a variable."""
    parameters: set[str] = set()
    for runner in (Runner, FlexibleRunner):
        parameters |= inspect.signature(runner.__init__).parameters.keys()
    return frozenset(parameters - {'self', 'cfg'} | _READ_ELSEWHERE)


def find_config(name: str) -> str:
    """Path of a config, which may be one that ships with the package.

    Args:
        name: A path, or ``mmsgdfuse::NAME``: a config by its path below ``configs/``, with or
            without ``.py``.

    Raises:
        FileNotFoundError: No config of that name ships; the message has those that are close.
    """
    prefix, separator, relative = str(name).partition('::')
    if not separator or prefix != SCOPE:
        return str(name)
    package = Path(__file__).resolve().parents[1]
    roots = [package / '.mim' / 'configs', package.parent / 'configs']
    for root in roots:
        path = root / relative
        for candidate in (path, path.with_name(f'{path.name}.py')):
            if candidate.is_file():
                return str(candidate)
    shipped = sorted(
        path.relative_to(root).with_suffix('').as_posix()
        for root in roots
        for path in root.rglob('*.py')
        if '_base_' not in path.parts
    )
    close = difflib.get_close_matches(relative.removesuffix('.py'), shipped, 3)
    hint = f'did you mean {", ".join(close)}?' if close else f'such as {", ".join(shipped[:6])}'
    raise FileNotFoundError(f'{name}: no such config ships; {hint}')


def load_config(path: str) -> Config:
    """Read a config, see :func:`find_config`.

    Raises:
        FileNotFoundError: There is no such file.
        ConfigError: It cannot be executed; the message says why.
    """
    try:
        return Config.fromfile(find_config(path))
    except OSError:
        raise
    except Exception as error:  # a config is code, and may fail with anything
        raise ConfigError(f'{path}: cannot be read as a config: {error!r}') from error


def merge_options(cfg: Config, options: dict | None) -> Config:
    """Merge ``--cfg-options`` into a config, and through its variables.

    A text config writes ``data_root = 'data'`` once and uses it in many places; by the time
    an option arrives, those places hold the old value. So an option that changes a variable
    also changes the places that hold its old value: of a plain value (``data_root``,
    ``crop_size``) those under the same key, of a dict or list (``mask_generator``,
    ``denoiser``) all that are equal. Everything else is mmengine's own merge.

    Args:
        cfg: The config; changed in place.
        options: Dotted keys and values, as :class:`mmengine.config.DictAction` gives them.

    Returns:
        ``cfg``.
    """
    _merge(cfg, dict(options or {}))
    return cfg


def merge_checked(cfgs: Sequence[Config], options: dict | None) -> None:
    """Merge ``--cfg-options`` into the configs of one or more phases, or refuse them.

    An option of the model, such as ``model.head.level_channels``, goes to the phases whose
    model has that part.

    Args:
        cfgs: The phases' configs; changed in place.
        options: As for :func:`merge_options`.

    Raises:
        ConfigError: An option would change nothing, or not every place; the message names the
            keys that would.
    """
    options = dict(options or {})
    wanted: list[dict[str, Any]] = [{} for _ in cfgs]
    for key, value in options.items():
        takers = _takers(cfgs, key) if key.startswith('model.') else range(len(cfgs))
        for index in takers:
            wanted[index][key] = value
    effects: dict[str, int] = {}
    for cfg, share in zip(cfgs, wanted):
        try:
            for name, places in _merge(cfg, share).items():
                effects[name] = effects.get(name, 0) + places
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ConfigError(f'--cfg-options {" ".join(share)}: {error}') from error
    for name in {key.split('.', 1)[0] for key in options} - runner_keys():
        if not effects.get(name):
            _report_no_effect(cfgs, name)
        for cfg in cfgs:
            value = cfg.get(name)
            if isinstance(value, Mapping) and 'type' in value:
                other = [path for path, node in _uses(cfg, name) if node != value]
                if other:
                    raise ConfigError(
                        f'--cfg-options {name}: {other[0]} has a value of its own that the '
                        f'variable {name} does not reach; give {other[0]}.KEY=VALUE instead'
                    )


def _takers(cfgs: Sequence[Config], key: str) -> list[int]:
    """Numbers of the configs whose model has, or else takes, what an option changes."""
    part = key.split('.')[1]
    models = [cfg.get('model') or {} for cfg in cfgs]
    having = [index for index, model in enumerate(models) if part in model]
    if having:
        return having
    taking = [index for index, model in enumerate(models) if _takes(model, part)]
    if not taking:
        names = ', '.join(str(model.get('type')) for model in models)
        known = sorted({name for model in models for name in model})
        raise ConfigError(
            f'--cfg-options {key}: {names} has no {part}; the config sets model.'
            f'{{{", ".join(known)}}}'
        )
    return taking


def _takes(model: Mapping[str, Any], part: str) -> bool:
    kind = model.get('type')
    cls = MODELS.get(kind) if isinstance(kind, str) else kind
    if cls is None or not getattr(cls, '__module__', '').startswith('mmsgdfuse'):
        return True  # left to the class itself
    return any(
        part in inspect.signature(base.__init__).parameters
        for base in cls.__mro__
        if '__init__' in vars(base)
    )


def _report_no_effect(cfgs: Sequence[Config], name: str) -> None:
    """Refuse an option that changes nothing; warn of a variable that its config does not use."""
    places = sorted({path for cfg in cfgs for path, _ in _uses(cfg, name)})
    if any(name in cfg for cfg in cfgs):
        if not places:
            # such as cache_dir in a config without masks: one list of options serves many configs
            warnings.warn(
                f'--cfg-options {name}: nothing in this config uses the variable {name}, so the '
                'option changes nothing',
                stacklevel=4,
            )
            return
        what = 'is a variable that no place holds any more'
    else:
        what = 'is no key of the config'
    remedy = (
        f'give {places[0]} instead' if places else 'look up the name in the config that is given'
    )
    raise ConfigError(f'--cfg-options {name}: {what}, so it would change nothing; {remedy}')


def _uses(cfg: Config, name: str) -> Iterator[tuple[str, Any]]:
    """The places outside the variables that have this name."""
    for key in runner_keys() & set(cfg.keys()):
        for path, node in walk(cfg[key], key):
            if path.rpartition('.')[2] == name and path != name:
                yield path, node


def _merge(cfg: Config, options: dict[str, Any]) -> dict[str, int]:
    """Merge options; the number of places, outside the variables, that each variable reached."""
    variables = {key.split('.', 1)[0] for key in options} - runner_keys()
    old = {name: copy.deepcopy(cfg[name]) for name in variables if cfg.get(name) is not None}
    own = {key: value for key, value in options.items() if key.split('.', 1)[0] in variables}
    cfg.merge_from_dict(own)
    reached = {}
    for name, value in old.items():
        new = copy.deepcopy(cfg[name])
        # the variables last: a pipeline may be one object in a variable and in its data loader
        keys = sorted(cfg._cfg_dict, key=lambda key: key not in runner_keys())
        reached[name] = sum(
            _replace(cfg._cfg_dict, key, name, value, new) * (key in runner_keys())
            for key in keys
            if key != name
        )
    cfg.merge_from_dict({key: value for key, value in options.items() if key not in own})
    return reached


def _replace(owner: Any, key: Any, name: str, old: Any, new: Any) -> int:
    """Put ``new`` where ``owner[key]`` or a part of it holds ``old``; how often that was."""
    value = owner[key]
    whole = isinstance(old, (Mapping, list, tuple))
    if (bool(old) if whole else key == name) and type(value) is type(old) and value == old:
        if isinstance(owner, tuple):
            return 0
        owner[key] = copy.deepcopy(new)
        return 1
    if isinstance(value, tuple):  # mmengine keeps tuples of a file
        items = list(value)
        count = sum(_replace(items, index, name, old, new) for index in range(len(items)))
        if count:
            owner[key] = tuple(items)
        return count
    return sum(_replace(value, child, name, old, new) for child, _ in _children(value))


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
        ConfigError: There is no transform ``after``.
    """
    return _changed(node, after, lambda old: [old, dict(transform)])


def replace_transform(node: Any, name: str, transform: dict[str, Any]) -> Any:
    """Put a transform in the place of another in every pipeline of a part of a config.

    Args:
        node: Config of a data loader, data set or pipeline; stays as it is.
        name: ``type`` of the transforms that are replaced.
        transform: Config of the new one.

    Returns:
        A changed copy.

    Raises:
        ConfigError: There is no transform ``name``.
    """
    return _changed(node, name, lambda _: [dict(transform)])


def _changed(node: Any, name: str, become: Callable[[Any], list[Any]]) -> Any:
    changed, count = _with_items(node, name, become)
    if not count:
        raise ConfigError(f'there is no {name} in the pipelines that are to be changed')
    return changed


def _with_items(node: Any, name: str, become: Callable[[Any], list[Any]]) -> tuple[Any, int]:
    """The copy with other items for those of a ``type``, and how many there were."""
    if isinstance(node, dict):
        parts = {key: _with_items(value, name, become) for key, value in node.items()}
        return {key: part for key, (part, _) in parts.items()}, sum(n for _, n in parts.values())
    if not isinstance(node, (list, tuple)):
        return node, 0
    items: list[Any] = []
    total = 0
    for value in node:
        part, count = _with_items(value, name, become)
        found = isinstance(value, dict) and value.get('type') == name
        items += become(part) if found else [part]
        total += count + found
    return type(node)(items), total
