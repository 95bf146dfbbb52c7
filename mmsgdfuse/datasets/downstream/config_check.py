"""Whether a downstream config, its labels and its images belong together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmsgdfuse.datasets.downstream.faults import LabelError
from mmsgdfuse.datasets.downstream.fused_folder import check_fused_folder
from mmsgdfuse.datasets.downstream.maps import IGNORED
from mmsgdfuse.utils.config import walk
from mmsgdfuse.utils.image_io import list_images, read_labels

LOADERS = ('train', 'val', 'test')
# enough to tell copies from fused images, in a second or so
_COMPARED = 32


def check_config(cfg: Mapping[str, Any], loaders: Sequence[str] = LOADERS) -> None:
    """Refuse a config of mmdet or mmseg whose parts do not belong together.

    mmdet takes the labels of a class that a config does not name for background, and where the
    names are in another order than in the file, it gives one class's score another's name;
    mmseg fails in the loss, or on a GPU without a word of what went wrong.

    Args:
        cfg: The config; ``fused_from`` names, by loader, the folders (``ir``, ``vis``, below
            ``data_root``) whose pairs its images are said to have been fused from.
        loaders: Which of ``'train'``, ``'val'``, ``'test'`` to look at. Default: all.

    Raises:
        LabelError: Classes differ from the labels' categories, a head's number of classes from
            that of the classes, ids in label maps are too large, or a folder given as fused
            does not hold fused images (see :func:`check_fused_folder`). The message says what
            was expected and what was found.
        FileNotFoundError: There are no labels.
    """
    heads = dict(_heads(cfg.get('model', {})))
    seen = []
    for loader in loaders:
        node = cfg.get(f'{loader}_dataloader')
        for dataset in _datasets(node['dataset']) if node else ():
            classes = tuple(dataset.get('metainfo', {}).get('classes', ()))
            if not classes:
                continue  # those of the data set's own class, which fit its own labels
            _check_heads(heads, classes)
            fused_from = cfg.get('fused_from', {}).get(loader)
            if (dataset, fused_from) in seen:
                continue
            seen.append((dataset, fused_from))
            names = _check_labels(dataset, classes)
            if fused_from:
                root = Path(dataset.get('data_root') or '')
                check_fused_folder(
                    image_folder(dataset),
                    root / fused_from['ir'],
                    root / fused_from['vis'],
                    # as many from the beginning as from the end of a sequence
                    names[:: max(len(names) // _COMPARED, 1)],
                )


def image_folder(dataset: Mapping[str, Any]) -> Path:
    """Folder of the images that the config of a data set of mmdet or mmseg reads."""
    prefix = dataset.get('data_prefix', {})
    return Path(dataset.get('data_root') or '') / (
        prefix.get('img') or prefix.get('img_path') or ''
    )


def map_folder(dataset: Mapping[str, Any]) -> Path:
    """Folder of the label maps that the config of a data set of mmseg reads."""
    return Path(dataset.get('data_root') or '') / dataset['data_prefix']['seg_map_path']


def _datasets(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The data sets within wrappers such as MultiImageMixDataset and ConcatDataset."""
    inner = [node['dataset']] if 'dataset' in node else node.get('datasets', ())
    if not inner:
        yield node
    for dataset in inner:
        yield from _datasets(dataset)


def _heads(model: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Number of classes of each head by its place in the config."""
    for path, value in walk(model, 'model'):
        *parents, key = path.split('.')
        # an rpn proposes objects of any class
        if key == 'num_classes' and parents[-1].endswith('head') and not _has_rpn(parents):
            yield path, value


def _has_rpn(keys: Sequence[str]) -> bool:
    return any(key.startswith('rpn') for key in keys)


def _check_heads(heads: Mapping[str, int], classes: Sequence[str]) -> None:
    for place, number in heads.items():
        if number != len(classes):
            raise LabelError(
                f'{place}: expected {len(classes)}, one per class ({", ".join(classes)}), found '
                f'{number}'
            )


def _check_labels(dataset: Mapping[str, Any], classes: Sequence[str]) -> list[str]:
    """Names of the labelled images, without suffix."""
    if 'seg_map_path' in dataset.get('data_prefix', {}):
        return _check_maps(map_folder(dataset), classes, dataset.get('ignore_index', IGNORED))
    return _check_categories(Path(dataset.get('data_root') or '') / dataset['ann_file'], classes)


def _check_categories(path: Path, classes: Sequence[str]) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: no such labels; write them with tools/dataset_converters/check_labels.py'
        )
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        found = [category['name'] for category in content['categories']]
        names = [Path(image['file_name']).stem for image in content['images']]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise LabelError(
            f'{path}: expected a COCO document with images and categories ({error!r})'
        ) from error
    if found != list(classes):
        order = ' in this order' if sorted(found) == sorted(classes) else ''
        raise LabelError(
            f"{path}: expected the categories {', '.join(classes)}{order}, which are the config's "
            f'classes, found {", ".join(found)}; change metainfo.classes and num_classes, or '
            'write the labels again'
        )
    return names


def _check_maps(folder: Path, classes: Sequence[str], ignored: int) -> list[str]:
    paths = list_images(folder)
    for path in paths:
        ids = read_labels(path)
        highest = int(np.max(ids, initial=0, where=ids != ignored))
        if highest >= len(classes):
            raise LabelError(
                f"{path}: expected ids 0..{len(classes) - 1} for the config's classes "
                f'({", ".join(classes)}), found {highest}; change metainfo.classes and '
                'num_classes, or the labels'
            )
    return [path.stem for path in paths]
