# Table 3, w/o Stage I: the diffusion works on the mean of the sources instead of F1
_base_ = './_base_/recipe.py'

model = dict(preliminary=dict(_delete_=True, type='MeanOfSources'))
phases = [
    dict(_base_.phases[1], inherits=()),
    dict(_base_.phases[2], inherits=('denoiser',)),
]
