"""Fused models under mmengine's Runner, with the data sets and metrics of mmdet and mmseg."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, DefaultScope
from mmengine.runner import Runner

from mmsgdfuse.apis import FusionInferencer
from mmsgdfuse.utils.weights import read_weights

ITERATIONS = 2
LOAD = dict(type='mmsgdfuse.LoadInfrared')
STACK = dict(type='mmsgdfuse.StackPair')
WITH_MASKS = (LOAD, dict(type='mmsgdfuse.GenerateMasks'), STACK)


@pytest.fixture
def runner(config, dataset, street, tmp_path):
    """Build a Runner: name of the downstream model, its package, arguments of the wrapper."""

    def runner(name: str, scope: str, load_from=None, **kwargs) -> Runner:
        loader = dict(
            batch_size=2,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dataset(scope, 'vi', WITH_MASKS),
        )
        evaluator = dict(
            mmdet=dict(type='CocoMetric', ann_file=str(street / 'boxes.json'), metric='bbox'),
            mmseg=dict(type='IoUMetric', iou_metrics=['mIoU']),
        )[scope]
        return Runner.from_cfg(
            Config(
                dict(
                    default_scope=scope,
                    custom_imports=dict(imports=['mmsgdfuse']),
                    model=config(name, **kwargs),
                    train_dataloader=loader,
                    val_dataloader=loader,
                    test_dataloader=loader,
                    val_evaluator=evaluator,
                    test_evaluator=evaluator,
                    train_cfg=dict(
                        type='IterBasedTrainLoop', max_iters=ITERATIONS, val_interval=ITERATIONS
                    ),
                    val_cfg=dict(type='ValLoop'),
                    test_cfg=dict(type='TestLoop'),
                    optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01, weight_decay=0.1)),
                    default_hooks=dict(
                        checkpoint=dict(type='CheckpointHook', interval=ITERATIONS, by_epoch=False)
                    ),
                    custom_hooks=[dict(type='EMAHook', priority=49)],
                    work_dir=str(tmp_path),
                    experiment_name=f'{name}-{len(list(tmp_path.iterdir()))}',
                    load_from=load_from,
                    randomness=dict(seed=0),
                    log_level='ERROR',
                )
            )
        )

    return runner


@pytest.mark.parametrize(
    ('name', 'scope', 'freeze_fuser'), [('YOLOX', 'mmdet', True), ('SegFormer', 'mmseg', False)]
)
def test_trains_saves_and_tests(
    name, scope, freeze_fuser, runner, tiny_weights, tmp_path, examples
):
    arguments = dict(fuser_weights=str(tiny_weights), freeze_fuser=freeze_fuser)
    training = runner(name, scope, **arguments)
    training.train()
    validated = {
        key: value.current() for key, value in training.message_hub.log_scalars.items()
        if key.startswith('val/') and 'time' not in key
    }  # fmt: skip
    metric = dict(mmdet='val/coco/bbox_mAP', mmseg='val/mIoU')[scope]
    assert np.isfinite(validated[metric])

    checkpoint = tmp_path / f'iter_{ITERATIONS}.pth'
    saved = torch.load(checkpoint, weights_only=True)
    assert all(torch.isfinite(value).all() for value in saved['state_dict'].values())
    # what is averaged is what mmengine keeps under state_dict, the last values beside it
    trained = {key.removeprefix('module.'): v for key, v in saved['ema_state_dict'].items()}
    for key, value in read_weights(tiny_weights)[0].items():
        moved = not torch.equal(trained[f'fuser.{key}'], value.to(trained[f'fuser.{key}']))
        assert not moved or (not freeze_fuser and key.startswith('head.')), key
        if freeze_fuser:
            assert torch.equal(saved['state_dict'][f'fuser.{key}'], trained[f'fuser.{key}']), key

    tested = runner(name, scope, load_from=str(checkpoint), **arguments).test()
    for key, value in validated.items():
        assert tested[key.removeprefix('val/')] == pytest.approx(value, nan_ok=True), key

    if not freeze_fuser:
        example = next(example for example in examples if 'save_weights' in example)
        for old, new in (
            ("'work_dirs/fused/epoch_30.pth'", repr(str(checkpoint))),
            ("'fuser.safetensors'", repr(str(tmp_path / 'fuser.safetensors'))),
            ('read_metadata(DEFAULT_WEIGHTS)', f'read_metadata({str(tiny_weights)!r})'),
        ):
            assert old in example
            example = example.replace(old, new)
        exec(example, {})  # noqa: S102  (the example, as a user would run it)
        exported = FusionInferencer(weights=tmp_path / 'fuser.safetensors', device='cpu')
        for key, value in exported.model.head.state_dict().items():
            expected = saved['state_dict'][f'fuser.head.{key}']
            torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-6)  # half precision


@pytest.mark.parametrize(('name', 'scope'), [('RetinaNet', 'mmdet'), ('DeepLabV3+', 'mmseg')])
def test_test_time_augmentation(name, scope, config, dataset):
    """The packages' own models of it ask the wrapper for the downstream model's attributes."""
    cfg = dataset(scope, 'vi', (LOAD, STACK))
    *load, resize, _, pack = cfg['pipeline']
    if scope == 'mmdet':
        keys = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')
        pack = dict(pack, meta_keys=(*keys, 'flip', 'flip_direction'))
    flips = [dict(type='RandomFlip', prob=float(prob)) for prob in (0, 1)]
    augment = dict(type='TestTimeAug', transforms=[[resize], flips, [pack]])
    tta = dict(
        mmdet=dict(
            type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=9)
        ),
        mmseg=dict(type='SegTTAModel'),
    )[scope]
    module = config(name, fuser=dict(type='mmsgdfuse.RuleFuser'))
    with DefaultScope.overwrite_default_scope(scope):
        pairs = DATASETS.build(dict(cfg, pipeline=[*load, augment]))
        model = MODELS.build(Config(dict(model=dict(tta, module=module))).model).eval()
    views = pairs[0]
    with torch.no_grad():
        sample = model.test_step(
            dict(
                inputs=[[view] for view in views['inputs']],
                data_samples=[[s] for s in views['data_samples']],
            )
        )[0]
    if scope == 'mmdet':
        assert 0 < len(sample.pred_instances) <= 9
    else:
        assert sample.pred_sem_seg.data.shape[-2:] == (64, 64)
