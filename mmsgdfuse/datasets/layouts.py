"""How the public data sets arrange their files."""

from __future__ import annotations

import re
from typing import NamedTuple

from mmsgdfuse.utils.errors import InputError

NamePatterns = dict[str, tuple[re.Pattern[str], ...]]


class Layout(NamedTuple):
    """Where a data set keeps its images, and which belong together.

    Attributes:
        ir: Folder of the infrared images below the set's root; ``{split}`` stands for the split.
        vis: The same for the visible images.
        names: None if partners have the same file name up to the suffix. Else patterns, for
            ``ir`` and ``vis``, of paths without suffix relative to those folders. Files at any
            depth that match are partners if the patterns' groups hold the same text, which is
            also their name; files without partner are left out, since such a set holds more
            than pairs.
    """

    ir: str
    vis: str
    names: NamePatterns | None = None

    def folders(self, split: str | None) -> dict[str, str]:
        """Folders by modality, relative to the root.

        Raises:
            ValueError: The layout needs a split and ``split`` is None, or the other way round.
        """
        if ('{split}' in self.ir) != (split is not None):
            needs = 'needs a split, such as split="train"' if split is None else 'has no splits'
            raise InputError(f'this layout ({self.ir}, {self.vis}) {needs}; found split={split!r}')
        return dict(ir=self.ir.format(split=split), vis=self.vis.format(split=split))


def _patterns(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)


# The collection as TNO published it. Sequences have a folder per camera and numbered files;
# still scenes have a folder each and a file per camera, with the camera's name in front, possibly
# behind a letter for the colour channel, or at the end. Near infrared (NIR, II) is a camera
# of its own and not used. APC_2 counts its cameras, and the bunker's visible image has no mark.
_TNO_NAMES = dict(
    ir=_patterns(
        r'(.*_sequence/(?:.*/)?)(?:thermal|rad)/\D*(\d+)\D*',
        r'((?:.*/)?)(?:(?:[a-z]_)?(?:lw)?ir(?![a-z])[^/]*|[^/]*_ir|2_[^/]*)',
    ),
    vis=_patterns(
        r'(.*_sequence/(?:.*/)?)(?:visual|dhv)/\D*(\d+)\D*',
        r'((?:.*/)?)(?:(?:[a-z]_)?vis(?![a-z])[^/]*|[^/]*_vis|1_[^/]*|bunker_r)',
    ),
)

LAYOUTS = dict(
    folders=Layout('ir', 'vi'),
    MSRS=Layout('{split}/ir', '{split}/vi'),
    RoadScene=Layout('cropinfrared', 'crop_LR_visible'),
    LLVIP=Layout('infrared/{split}', 'visible/{split}'),
    M3FD=Layout('Ir', 'Vis'),
    FMB=Layout('{split}/Infrared', '{split}/Visible'),
    TNO=Layout('', '', _TNO_NAMES),
)
