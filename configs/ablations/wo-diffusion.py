# Table 3, w/o Dif: the same network reads the clean I0 and is never asked for noise. Without a
# diffusion phase before, the U-Net starts from random weights, and so at the head's learning rate
_base_ = './_base_/recipe.py'

model = dict(feature_noise='none', train_denoiser=True)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(denoiser=dict(lr_mult=1.0))))
phases = [_base_.phases[0], dict(_base_.phases[2], inherits=('preliminary',))]
