# The recipe of sgdfuse_msrs.py with the paper's masks: those of Segment Anything. The paper does not
# say of which size; vit_b is the smallest. Masks are cached, since each takes a while (docs/masks.md):
#     python tools/download_sam.py
#     python tools/train.py configs/sgdfuse_sam_msrs.py --cfg-options mask_generator.model_type=vit_h
_base_ = './sgdfuse_msrs.py'
from mmsgdfuse.utils.config import replace_transform

mask_generator = dict(type='SAMMaskGenerator', model_type='vit_b')
masks = dict(
    type='GenerateMasks', ir=mask_generator, vis=mask_generator, cache_dir=_base_.cache_dir
)
train_dataloader = replace_transform(_base_.train_dataloader, 'GenerateMasks', masks)
val_dataloader = replace_transform(_base_.val_dataloader, 'GenerateMasks', masks)
test_dataloader = replace_transform(_base_.test_dataloader, 'GenerateMasks', masks)
