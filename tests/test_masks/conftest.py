"""Hand-made segments, and a real but tiny Segment Anything with random weights."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

SIDE = 128


def build_tiny_sam(checkpoint=None):
    from segment_anything import modeling

    width, grid = 32, SIDE // 16
    return modeling.Sam(
        image_encoder=modeling.ImageEncoderViT(
            depth=2,
            embed_dim=width,
            img_size=SIDE,
            mlp_ratio=2,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            num_heads=2,
            patch_size=16,
            use_rel_pos=True,
            global_attn_indexes=[1],
            window_size=4,
            out_chans=width,
        ),
        prompt_encoder=modeling.PromptEncoder(
            embed_dim=width,
            image_embedding_size=(grid, grid),
            input_image_size=(SIDE, SIDE),
            mask_in_chans=4,
        ),
        mask_decoder=modeling.MaskDecoder(
            num_multimask_outputs=3,
            transformer=modeling.TwoWayTransformer(
                depth=1, embedding_dim=width, mlp_dim=32, num_heads=2
            ),
            transformer_dim=width,
            iou_head_depth=2,
            iou_head_hidden_dim=16,
        ),
    ).eval()


@pytest.fixture
def tiny_sam(monkeypatch, tmp_path):
    """Path of a checkpoint for model type 'tiny', which the package then knows."""
    segment_anything = pytest.importorskip('segment_anything')
    monkeypatch.setitem(segment_anything.sam_model_registry, 'tiny', build_tiny_sam)
    path = tmp_path / 'tiny.pth'
    torch.save(build_tiny_sam().state_dict(), path)
    return path


@pytest.fixture
def make_segment():
    """A segment over given rows and columns of a frame."""

    def make(shape, rows, columns, **fields):
        mask = np.zeros(shape, bool)
        mask[slice(*rows), slice(*columns)] = True
        return dict(
            segmentation=mask,
            area=int(mask.sum()),
            bbox=[columns[0], rows[0], columns[1] - columns[0], rows[1] - rows[0]],
            **{'predicted_iou': 1.0, 'stability_score': 1.0, 'contrast': 1.0, **fields},
        )

    return make
