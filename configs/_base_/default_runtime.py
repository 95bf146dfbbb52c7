default_scope = 'mmsgdfuse'
custom_imports = dict(imports=['mmsgdfuse'], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook',
        interval=1,
        max_keep_ckpts=3,
        backend_args=dict(backend='mmsgdfuse_atomic'),
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='FusionVisualizationHook', interval=4),
)
custom_hooks = [
    dict(type='EpochSeedHook'),
    dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=0.002, gamma=10),
]

visualizer = dict(
    type='FusionVisualizer',
    vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')],
)
log_processor = dict(window_size=20, by_epoch=True)
log_level = 'INFO'

# the seed makes a run repeatable and lets a resumed one go on exactly
randomness = dict(seed=0)
env_cfg = dict(
    cudnn_benchmark=False, mp_cfg=dict(mp_start_method='fork'), dist_cfg=dict(backend='nccl')
)
load_from = None
resume = False
