# The diffusion phase with the U-Net's weights, gradients and optimizer states spread over the
# processes (docs/train.md). mmengine's EMAHook copies whole networks, so there is no average.
_base_ = './sgdfuse-diffusion_1xb24-200e_msrs.py'
batch_size = 12

runner_type = 'FlexibleRunner'
strategy = dict(
    type='ShardedStrategy',
    model_wrapper=dict(auto_wrap_policy='mmsgdfuse.wrap_residual_blocks'),
)
optim_wrapper = dict(type='ShardedOptimWrapper')
train_dataloader = dict(batch_size=batch_size)
custom_hooks = [dict(type='EpochSeedHook')]
