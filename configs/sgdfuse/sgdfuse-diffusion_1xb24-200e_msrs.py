_base_ = './sgdfuse-preliminary_1xb24-200e_msrs.py'

model = dict(
    type='DiffusionFuser',
    denoiser={{_base_.denoiser}},
    schedule={{_base_.schedule}},
    sampler={{_base_.sampler}},
    prediction_type={{_base_.prediction_type}},
)
