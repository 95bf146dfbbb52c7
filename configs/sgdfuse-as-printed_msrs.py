# SGDFuse as the paper prints it: SAM's masks, an image made of the U-Net's features alone, and
# losses that do not see what lies outside the masks (docs/method.md says what that costs).
_base_ = './sgdfuse_sam_msrs.py'

model = dict(
    head=dict(source_skip=False),
    losses=dict(
        intensity=dict(target='channel', mask_floor=0.0),
        gradient=dict(mask_floor=0.0),
    ),
)
