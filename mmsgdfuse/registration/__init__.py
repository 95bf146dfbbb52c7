"""Registration of infrared and visible images: rigs, warping, estimation. No model, no torch."""

from mmsgdfuse.registration.estimation import (
    FrameResidual,
    Registration,
    RegistrationError,
    SearchOptions,
    measure_frames,
    register_pair,
    register_rig,
)
from mmsgdfuse.registration.geometry import corner_error
from mmsgdfuse.registration.rig import GRIDS, Grid, Lens, Rig, parallax
from mmsgdfuse.registration.rig_files import load_rig, save_rig
from mmsgdfuse.registration.warping import (
    AlignedPair,
    align_pair,
    feather,
    fill_outside,
    valid_box,
)

__all__ = [
    'GRIDS',
    'AlignedPair',
    'FrameResidual',
    'Grid',
    'Lens',
    'Registration',
    'RegistrationError',
    'Rig',
    'SearchOptions',
    'align_pair',
    'corner_error',
    'feather',
    'fill_outside',
    'load_rig',
    'measure_frames',
    'parallax',
    'register_pair',
    'register_rig',
    'save_rig',
    'valid_box',
]
