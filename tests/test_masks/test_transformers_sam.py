import numpy as np
import pytest
import torch
from PIL import Image

from mmsgdfuse.masks import TransformersSAMMaskGenerator
from mmsgdfuse.utils.errors import InputError

OPTIONS = dict(points_per_batch=64, pred_iou_thresh=-9.0, stability_score_thresh=0.0)


def save_sam(folder, kind):
    transformers = pytest.importorskip('transformers')
    names = {'sam': 'Sam', 'sam_hq': 'SamHQ'}
    name = names[kind]
    if not hasattr(transformers, f'{name}Model'):
        pytest.skip(f'this transformers has no {name}Model')
    torch.manual_seed(0)
    small = dict(hidden_size=32, image_size=64, patch_size=16)
    config = getattr(transformers, f'{name}Config')(
        vision_config=dict(
            small, output_channels=32, num_hidden_layers=2, num_attention_heads=2, mlp_dim=32,
            global_attn_indexes=[1], window_size=2, num_pos_feats=16,
        ),
        prompt_encoder_config=dict(small, image_embedding_size=4, mask_input_channels=8),
        mask_decoder_config=dict(
            hidden_size=32, mlp_dim=32, num_hidden_layers=1, num_attention_heads=2,
            iou_head_hidden_dim=16, **({'vit_dim': 32} if kind == 'sam_hq' else {}),
        ),
    )  # fmt: skip
    getattr(transformers, f'{name}Model')(config).save_pretrained(folder)
    image_processor = transformers.SamImageProcessor(
        size=dict(longest_edge=64), pad_size=dict(height=64, width=64)
    )
    getattr(transformers, f'{name}Processor')(image_processor).save_pretrained(folder)
    return folder


@pytest.mark.parametrize('kind', ['sam', 'sam_hq'])
def test_the_segments_are_the_librarys(tmp_path, kind):
    folder = save_sam(tmp_path, kind)
    from transformers import pipeline

    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    generator = TransformersSAMMaskGenerator(folder, options=OPTIONS, device='cpu')
    expected = pipeline('mask-generation', model=str(folder))(Image.fromarray(image), **OPTIONS)
    masks = [np.asarray(mask, bool) for mask in expected['masks']]
    masks = [mask for mask in masks if mask.any()]
    found = [segment['segmentation'] for segment in generator.generate(image)]
    assert len(found) == len(masks)
    for one, other in zip(found, masks):
        np.testing.assert_array_equal(one, other)
    for prompts in (dict(boxes=[[4, 4, 30, 30], [20, 10, 60, 40]]), dict(points=[[10, 10]])):
        prompted = TransformersSAMMaskGenerator(folder, device='cpu', **prompts)
        assert prompted(image).shape == (48, 64)
        assert len(prompted.generate(image)) <= len(next(iter(prompts.values())))


def test_bad_arguments(tmp_path):
    with pytest.raises(InputError, match='not both'):
        TransformersSAMMaskGenerator('x', boxes=[[0, 0, 1, 1]], points=[[0, 0]])
    with pytest.raises(InputError, match='boxes must be'):
        TransformersSAMMaskGenerator('x', boxes=[[0, 0, 1]])
