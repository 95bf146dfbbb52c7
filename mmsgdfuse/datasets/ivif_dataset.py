"""The dataset of registered infrared-visible pairs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.dataset import BaseDataset

from mmsgdfuse.datasets.layouts import LAYOUTS
from mmsgdfuse.datasets.pairing import CHECKS, check_pair, find_pairs, read_names
from mmsgdfuse.registry import DATASETS
from mmsgdfuse.utils.errors import MMSGDFuseError

_MAX_LISTED = 20


class DatasetError(MMSGDFuseError, ValueError):
    """Files of a data set are missing or cannot be used; the message names them."""


@DATASETS.register_module()
class IVIFDataset(BaseDataset):
    """Infrared-visible pairs from folders.

    Partners have the same name, and may have different suffixes: PNG, JPEG, BMP, TIFF and WebP
    of 8 or 16 bits. Every file is looked at when the dataset is built, so that a bad one
    ends a run before it begins and not after a night of training.

    Each entry holds ``name`` (the visible image's file name, which the fused image will get),
    ``ir_path``, ``vis_path``, and ``labels_path`` where there are labels.

    Args:
        data_root (str): Root folder that the other paths are relative to. Default: ''.
        layout (str): Arrangement of the folders below the root: 'folders' ({ir,vi}), 'MSRS'
            ({split}/{ir,vi}, right for every set arranged so), 'RoadScene'
            (cropinfrared, crop_LR_visible), 'LLVIP' ({infrared,visible}/{split}), 'M3FD'
            ({Ir,Vis}, below M3FD_Fusion or M3FD_Detection) or 'TNO' (the scene folders of
            TNO_Image_Fusion_Dataset). Default: 'folders'.
        split (str | None): The split's folder name for layouts that have one. Default: None.
        data_prefix (dict): Folders that differ from the layout's or add to it: ``ir``, ``vis``,
            ``labels`` (class ids, 8-bit grey). Default: {}.
        ann_file (str): Text file with the names to use, one per line, with or without suffix;
            '' uses all. Default: ''.
        check (str): How thoroughly files are looked at when the dataset is built. 'quick': there,
            complete and of equal size by their headers and end marks, below a millisecond per pair;
            'full': decoded as well, which finds damage in the middle too; 'none': only names
            are compared, for data that was checked before. Default: 'quick'.
        pairing (str | None): What partners have in common, where it is not the name: 'path',
            '*_PreviewData:*_RGB', 'time:0.05', a list of pairs, ..., see
            :mod:`mmsgdfuse.pairing.rules`. Default: None, the name or the layout's patterns.
        **kwargs: As for :class:`mmengine.dataset.BaseDataset`: ``pipeline``, ``indices``,
            ``test_mode``, ``lazy_init`` and so on.

    Raises:
        DatasetError: A folder, partner or listed name is missing, sizes differ, or a file is
            empty, truncated or of a wrong kind.
        FileNotFoundError: ``ann_file`` does not exist.
        ValueError: An argument is not one of those above.

    Examples:
        >>> IVIFDataset(data_root='data/LLVIP', layout='LLVIP', split='train')  # doctest: +SKIP
        >>> IVIFDataset(data_prefix=dict(ir='thermal', vis='rgb'))  # doctest: +SKIP
    """

    METAINFO = dict(dataset_type='ivif')

    def __init__(
        self,
        data_root: str = '',
        layout: str = 'folders',
        split: str | None = None,
        data_prefix: Mapping[str, str] = {},
        ann_file: str = '',
        check: str = 'quick',
        pairing: str | None = None,
        **kwargs: Any,
    ) -> None:
        if layout not in LAYOUTS:
            raise ValueError(f'layout must be one of {list(LAYOUTS)}, found {layout!r}')
        if check not in CHECKS:
            raise ValueError(f'check must be one of {CHECKS}, found {check!r}')
        unknown = set(data_prefix) - {'ir', 'vis', 'labels'}
        if unknown:
            raise ValueError(f'data_prefix may hold ir, vis and labels, found {sorted(unknown)}')
        self.layout = LAYOUTS[layout]
        self.check = check
        self.pairing = pairing
        folders = {**self.layout.folders(split), **data_prefix}
        super().__init__(ann_file=ann_file, data_root=data_root, data_prefix=folders, **kwargs)

    def load_data_list(self) -> list[dict]:
        """The entries of all pairs; called once, when the dataset is built."""
        names = read_names(self.ann_file) if self.ann_file else None
        pairs, faults = find_pairs(self.data_prefix, names, self.layout.names, self.pairing)
        for pair in pairs:
            faults += check_pair(pair, self.check)
        if faults:
            raise DatasetError(self._describe(faults))
        return pairs

    def _describe(self, faults: list[str]) -> str:
        more = len(faults) - _MAX_LISTED
        lines = [f'{len(faults)} fault(s) in the image pairs:', *faults[:_MAX_LISTED]]
        if more > 0:
            folders = ' '.join(str(Path(self.data_prefix[key])) for key in ('ir', 'vis'))
            lines.append(
                f'... and {more} more; to see them all, run '
                f'python tools/dataset_converters/check_pairs.py {folders}'
            )
        return '\n  '.join(lines)
