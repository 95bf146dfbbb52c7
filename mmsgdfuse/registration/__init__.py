"""Registration of infrared and visible images: rigs, warping, estimation. No model, no torch."""

from mmsgdfuse.registration.estimation import (
    FrameResidual,
    Misregistration,
    Registration,
    RegistrationError,
    SearchOptions,
    measure_misregistration,
    register_pair,
    register_rig,
)
from mmsgdfuse.registration.folders import register_folder
from mmsgdfuse.registration.geometry import corner_error
from mmsgdfuse.registration.report import write_report
from mmsgdfuse.registration.rig import GRIDS, Grid, Lens, Rig, parallax
from mmsgdfuse.registration.rig_files import load_rig, save_rig
from mmsgdfuse.registration.sources import AUTO, PairAligner, RigSource
from mmsgdfuse.registration.warping import (
    AlignedPair,
    align_pair,
    feather,
    fill_outside,
    valid_box,
)

__all__ = [
    'AUTO',
    'GRIDS',
    'AlignedPair',
    'FrameResidual',
    'Grid',
    'Lens',
    'Misregistration',
    'PairAligner',
    'Registration',
    'RegistrationError',
    'Rig',
    'RigSource',
    'SearchOptions',
    'align_pair',
    'corner_error',
    'feather',
    'fill_outside',
    'load_rig',
    'measure_misregistration',
    'parallax',
    'register_folder',
    'register_pair',
    'register_rig',
    'save_rig',
    'valid_box',
    'write_report',
]
