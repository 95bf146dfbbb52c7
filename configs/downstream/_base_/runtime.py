# What every downstream config shares, whatever it reads: the comparison is of the inputs.
custom_imports = dict(imports=['mmsgdfuse'], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook',
        interval=1,
        max_keep_ckpts=2,
        backend_args=dict(backend='mmsgdfuse_atomic'),
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
custom_hooks = [
    dict(type='mmsgdfuse.DownstreamCheckHook'),
    dict(type='mmsgdfuse.EpochSeedHook'),
    dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=0.002, gamma=10),
]

log_processor = dict(window_size=50, by_epoch=True)
log_level = 'INFO'
randomness = dict(seed=0)
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
load_from = None
resume = False
val_cfg = dict()
test_cfg = dict()
