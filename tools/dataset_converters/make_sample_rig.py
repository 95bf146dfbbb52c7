"""Make the pairs of two cameras that are not registered, for trying registration.

    python tools/dataset_converters/make_sample_rig.py outputs/rig

writes outputs/rig/ir (384x288) and outputs/rig/vis (960x600), four made-up scenes of two cameras
that stand side by side, and outputs/rig/truth.yaml, the rig that they were made with.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.io.images import write_image
from mmsgdfuse.registration import Rig, save_rig

_WORLD = (768, 1024)
_IR_SIZE, _VIS_SIZE = (288, 384), (600, 960)
_WORLD_TO_IR = np.diag([384 / 1024, 288 / 768, 1.0])
# the visible camera sees less of the scene, a little turned
_WORLD_TO_VIS = np.array([[1.18, 0.015, -120.0], [-0.012, 1.18, -130.0], [1e-5, 1e-5, 1.0]])
_SEEDS = (2, 3, 4, 5)


def main(argv: list[str] | None = None) -> None:
    """Write the pairs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('out', type=Path, help='folder to write to')
    args = parser.parse_args(argv)
    for seed in _SEEDS:
        scene = synthetic_scene(seed, _WORLD)
        ir = cv2.resize(scene.ir, _IR_SIZE[::-1], interpolation=cv2.INTER_AREA)
        vis = cv2.warpPerspective(scene.vis, _WORLD_TO_VIS, _VIS_SIZE[::-1])
        write_image(args.out / 'ir' / f'scene{seed}.png', ir)
        write_image(args.out / 'vis' / f'scene{seed}.png', vis)
    homography = _WORLD_TO_VIS @ np.linalg.inv(_WORLD_TO_IR)
    save_rig(args.out / 'truth.yaml', Rig(homography, ir_size=_IR_SIZE, vis_size=_VIS_SIZE))


if __name__ == '__main__':
    main()
