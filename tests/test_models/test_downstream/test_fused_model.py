"""A fuser in front of models of mmdet and mmseg, each step by itself."""

from __future__ import annotations

import importlib.util
from copy import deepcopy

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import load_checkpoint

from mmsgdfuse.apis import FusionInferencer
from mmsgdfuse.utils.image_io import write_image
from mmsgdfuse.utils.setup_env import import_packages_of
from mmsgdfuse.utils.weights import read_metadata

SCOPES = {'YOLOX': 'mmdet', 'RetinaNet': 'mmdet', 'DeepLabV3+': 'mmseg', 'SegFormer': 'mmseg'}
VISIBLE = dict(type='RuleFuser', rule='visible')
LOAD = dict(type='mmsgdfuse.LoadInfrared')
STACK = dict(type='mmsgdfuse.StackPair')
PAIR = (LOAD, STACK)
WITH_MASKS = (LOAD, dict(type='mmsgdfuse.GenerateMasks'), STACK)

everywhere = pytest.mark.parametrize('name', list(SCOPES))


def losses_of(model, batch) -> dict[str, torch.Tensor]:
    """Losses by name, of the same random numbers each time."""
    torch.manual_seed(0)
    losses = model(**model.data_preprocessor(deepcopy(batch), True), mode='loss')
    return model.parse_losses(losses)[1]


def train_once(model, batch, lr: float = 1e-2) -> None:
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=lr)
    losses = model(**model.data_preprocessor(deepcopy(batch), True), mode='loss')
    loss, _ = model.parse_losses(losses)
    assert torch.isfinite(loss)
    loss.backward()
    optimizer.step()


def assert_same_losses(found, expected, **tolerance) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], **tolerance)


@everywhere
def test_losses_are_those_of_the_plain_model_on_the_same_images(name, build, batch):
    model = build(name, fuser=VISIBLE).train()
    scope = SCOPES[name]
    expected = losses_of(model.model, batch(scope, 'vi'))
    assert_same_losses(losses_of(model, batch(scope, 'vi', PAIR)), expected, rtol=0, atol=0)
    assert expected['loss'] > 0


@pytest.mark.parametrize('name', ['YOLOX', 'SegFormer'])
def test_fusing_online_equals_fusing_a_folder_before(name, build, batch, street, tiny_weights):
    """The images themselves, and with them the losses, of a fuser that needs masks."""
    fuse_pair = FusionInferencer(weights=tiny_weights, device='cpu')
    expected = []
    for path in sorted((street / 'vi').iterdir()):
        fused = fuse_pair(street / 'ir' / path.name, path).fused
        write_image(street / 'fused' / path.name, fused)
        expected.append(fused)
    model = build(name, fuser_weights=tiny_weights).train()
    scope = SCOPES[name]

    # the data sets mirror what they read, and masks of mirrored images are others
    pairs = batch(scope, 'vi', WITH_MASKS)
    pairs['inputs'] = [image.flip(-1) for image in pairs['inputs']]
    files = batch(scope, 'fused')
    files['inputs'] = [image.flip(-1) for image in files['inputs']]

    for fused, image in zip(expected, model.fuse(pairs['inputs'])):
        rgb = image.flip(0).permute(1, 2, 0).numpy()
        np.testing.assert_allclose(rgb, fused, rtol=0, atol=1)
    online, offline = losses_of(model, pairs), losses_of(model.model, files)
    assert_same_losses(online, offline, rtol=1e-3, atol=1e-4)


def test_uneven_sizes_are_fused_each_by_itself(build, tiny_weights):
    model = build('YOLOX', fuser_weights=tiny_weights).eval()
    pairs = [torch.randint(0, 256, (6, *size), dtype=torch.uint8) for size in ((40, 64), (57, 33))]
    fused = model.fuse(pairs)
    assert [tuple(image.shape) for image in fused] == [(3, 40, 64), (3, 57, 33)]
    assert all((image == image.round()).all() for image in fused)
    # what the batch's padding adds lies outside, but within the network's reach
    alone = model.fuse(pairs[1:])[0]
    torch.testing.assert_close(fused[1][:, :24, :16], alone[:, :24, :16], rtol=0, atol=1)


@everywhere
def test_trains_and_predicts_with_the_shipped_fuser(name, build, batch):
    model = build(name).train()
    scope = SCOPES[name]
    pairs = batch(scope, 'vi', WITH_MASKS)
    before = deepcopy(model.state_dict())
    for _ in range(2):
        train_once(model, pairs)
    after = model.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed
    assert all(key.startswith('model.') for key in changed)
    assert not model.fuser.training

    model.eval()
    with torch.no_grad():
        samples = model.test_step(deepcopy(pairs))
    if scope == 'mmdet':
        assert all(len(sample.pred_instances) > 0 for sample in samples)
    else:
        assert samples[0].pred_sem_seg.data.shape == (1, 64, 64)


@pytest.mark.parametrize('name', ['RetinaNet', 'DeepLabV3+'])
def test_downstream_losses_train_the_fuser(name, build, batch, tiny_weights):
    model = build(name, fuser_weights=tiny_weights, freeze_fuser=False).train()
    pairs = batch(SCOPES[name], 'vi', WITH_MASKS)
    before = deepcopy(model.fuser.state_dict())
    train_once(model, pairs, lr=1.0)
    assert model.fuser.training
    changed = {
        key
        for key, value in model.fuser.state_dict().items()
        if not torch.equal(before[key], value)
    }
    # the fuser's own config keeps Stage I and the U-Net frozen
    assert changed
    assert all(key.startswith('head.') for key in changed)


def test_the_gradient_is_that_without_rounding(build):
    """Straight through: the visible image's own gradient reaches its pixels unchanged."""
    model = build('YOLOX', fuser=VISIBLE, freeze_fuser=False)
    pair = torch.rand(4, 32, 32).mul(255).requires_grad_()
    (image,) = model.fuse([pair])
    assert (image == pair[:3].detach().round()).all()
    weights = torch.rand_like(image)
    (image * weights).sum().backward()
    torch.testing.assert_close(pair.grad[:3], weights)
    assert (pair.grad[3] == 0).all()


def test_initial_weights_do_not_depend_on_the_fuser(build, tiny_weights):
    states = []
    for kwargs in (dict(fuser=VISIBLE), dict(fuser_weights=tiny_weights)):
        torch.manual_seed(7)
        states.append(build('YOLOX', **kwargs).model.state_dict())
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key


def test_a_runner_initialises_the_detector_and_not_the_loaded_fuser(build, tiny_weights, config):
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(config('YOLOX', fuser_weights=tiny_weights))
    before = deepcopy(model.state_dict())
    model.init_weights()
    changed = {key for key, value in model.state_dict().items() if not value.equal(before[key])}
    assert changed
    assert all(key.startswith('model.') for key in changed)


def test_hooks_find_the_heads(build):
    model = build('YOLOX', fuser=VISIBLE)
    model.bbox_head.use_l1 = True  # as YOLOXModeSwitchHook does
    assert model.model.bbox_head.use_l1
    assert not hasattr(model, 'detector')
    with pytest.raises(AttributeError, match='no_such_thing'):
        _ = model.no_such_thing


def test_the_preprocessor_of_the_config_is_the_downstream_models(config):
    cfg = config('SegFormer', fuser=VISIBLE)
    preprocessor = dict(cfg['model'].pop('data_preprocessor'), size=(96, 96))
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(dict(cfg, data_preprocessor=preprocessor))
    assert model.model.data_preprocessor.size == (96, 96)


def test_the_config_of_the_docs(examples, street, tmp_path):
    pytest.importorskip('mmdet')
    path = tmp_path / 'config.py'
    path.write_text(examples[0].replace('work_dirs/masks', f'{tmp_path}/masks'))
    cfg = Config.fromfile(path)
    import_packages_of(cfg)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        packed = Compose(cfg.test_pipeline)(
            dict(img_path=str(street / 'vi' / '0.png'), img_id=0, instances=[])
        )
        model = MODELS.build(cfg.model)
    assert packed['inputs'].shape == (6, 480, 480)  # (64, 64) within (640, 480)
    assert type(model.model).__name__ == 'YOLOX'
    assert len(list((tmp_path / 'masks').rglob('*.png'))) == 2


def test_faster_rcnn_says_what_it_needs(build, batch, monkeypatch):
    pytest.importorskip('mmdet')
    model = build('YOLOX', fuser=VISIBLE)
    if importlib.util.find_spec('mmcv._ext').origin:
        pytest.skip('mmcv has compiled operators here')
    from mmengine.hub import get_config

    cfg = get_config('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py').model
    cfg.backbone.update(depth=18, init_cfg=None)
    cfg.neck.in_channels = [64, 128, 256, 512]
    model = MODELS.build(dict(type='mmsgdfuse.FusedDetector', model=cfg, fuser=VISIBLE))
    with pytest.raises(NotImplementedError, match=r'roi_align.*install mmcv>=2\.0\.0'):
        train_once(model, batch('mmdet', 'vi', PAIR))


def test_three_channels_are_refused(build):
    model = build('YOLOX', fuser=VISIBLE)
    with pytest.raises(ValueError, match=r'found 3; add LoadInfrared and StackPair'):
        model.fuse([torch.zeros(3, 32, 32)])


def test_missing_masks_are_named(build, tiny_weights):
    model = build('YOLOX', fuser_weights=tiny_weights)
    with pytest.raises(KeyError, match='mask_ir is missing; add GenerateMasks or LoadMasks'):
        model.fuse([torch.zeros(4, 32, 32)])


def test_a_checkpoint_of_another_phase_is_refused(build, tiny_weights, tmp_path):
    recipe = read_metadata(tiny_weights)['model']
    phase_one = MODELS.build(
        dict(type='mmsgdfuse.PreliminaryFuser', preliminary=recipe['preliminary'])
    )
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict=phase_one.state_dict()), path)
    with pytest.raises(
        ValueError, match=r'epoch_1\.pth.*not those of SGDFuse, which has denoiser, head, prelim'
    ):
        build('YOLOX', fuser=recipe, fuser_weights=path)
    with pytest.raises(ValueError, match=r'epoch_1\.pth: does not say which model it is for'):
        build('YOLOX', fuser_weights=path)


@pytest.mark.parametrize('wrapper', ['', 'module.'])
def test_a_checkpoint_of_the_detector_alone_is_taken(wrapper, build, tiny_weights, tmp_path):
    """Such as one that was trained on a fused folder; also behind mmengine's model wrappers."""
    model = build('YOLOX', fuser_weights=tiny_weights)
    alone = {f'{wrapper}{key}': torch.rand(v.shape) for key, v in model.model.state_dict().items()}
    fuser = deepcopy(model.fuser.state_dict())
    torch.save(dict(state_dict=alone), tmp_path / 'alone.pth')
    if wrapper:
        torch.nn.ModuleDict(dict(module=model)).load_state_dict(alone, strict=True)
    else:
        load_checkpoint(model, str(tmp_path / 'alone.pth'), strict=True)
    for key, value in model.model.state_dict().items():
        torch.testing.assert_close(value.float(), alone[f'{wrapper}{key}'].to(value.dtype).float())
    assert all(value.equal(fuser[key]) for key, value in model.fuser.state_dict().items())


def test_a_checkpoint_of_a_fuser_is_refused_as_the_detectors(build, tiny_weights, tmp_path):
    """mmengine itself would warn and test a detector of random weights."""
    model = build('YOLOX', fuser_weights=tiny_weights)
    torch.save(dict(state_dict=model.fuser.state_dict()), tmp_path / 'fuser.pth')
    with pytest.raises(
        ValueError,
        match=r'has denoiser, head, preliminary; a FusedDetector has fuser, model, and.* backbone',
    ):
        load_checkpoint(model, str(tmp_path / 'fuser.pth'))


def test_random_weights_are_not_frozen(build, tiny_weights):
    recipe = read_metadata(tiny_weights)['model']
    with pytest.raises(ValueError, match='random weights; give fuser_weights, or freeze_fuser'):
        build('YOLOX', fuser=recipe)
    assert build('YOLOX', fuser=recipe, freeze_fuser=False).fuser.head.training


def test_what_is_no_fuser_is_refused(build, tmp_path):
    with pytest.raises(TypeError, match=r"must be a fuser's, .* found 'HFAH'"):
        build('YOLOX', fuser=dict(type='HFAH', in_channels=(8,)))
    with pytest.raises(FileNotFoundError, match=r'none\.safetensors: no such file of weights'):
        build('YOLOX', fuser_weights=tmp_path / 'none.safetensors')
    with pytest.raises(ValueError, match=r"rule must be one of \['infrared'.*found 'median'"):
        build('YOLOX', fuser=dict(type='RuleFuser', rule='median'))


def test_rules():
    """Levels worked by hand, Rec. 601: (200, 100, 50) has luma 124.2."""
    ir, vis = torch.full((1, 1, 1, 1), 184.2), torch.tensor([200.0, 100, 50]).view(1, 3, 1, 1)
    inputs = dict(ir=ir / 127.5 - 1, vis=vis / 127.5 - 1)
    expected = dict(
        infrared=[184.2] * 3,
        visible=[200, 100, 50],
        average=[230, 130, 80],
        maximum=[260, 160, 110],
    )
    for rule, levels in expected.items():
        fuser = MODELS.build(dict(type='mmsgdfuse.RuleFuser', rule=rule))
        found = (fuser(inputs).flatten() + 1) * 127.5
        torch.testing.assert_close(found, torch.tensor(levels, dtype=torch.float32))
    dark = MODELS.build(dict(type='mmsgdfuse.RuleFuser'))(dict(inputs, ir=-torch.ones(1, 1, 1, 1)))
    torch.testing.assert_close(dark, inputs['vis'])
    with pytest.raises(NotImplementedError, match="'maximum' has no weights"):
        fuser(inputs, mode='loss')
