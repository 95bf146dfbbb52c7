# The paper's masks: those of Segment Anything, cached since each takes a while (docs/masks.md).
# The checkpoint is downloaded by tools/download_sam.py, or given:
#     --cfg-options mask_generator.checkpoint=sam_vit_h.pth mask_generator.model_type=vit_h
_base_ = './sgdfuse_msrs.py'
from mmsgdfuse.utils.config import replace_transform

mask_generator = dict(type='SAMMaskGenerator', model_type='vit_h')
masks = dict(
    type='GenerateMasks', ir=mask_generator, vis=mask_generator, cache_dir=_base_.cache_dir
)
train_dataloader = replace_transform(_base_.train_dataloader, 'GenerateMasks', masks)
val_dataloader = replace_transform(_base_.val_dataloader, 'GenerateMasks', masks)
test_dataloader = replace_transform(_base_.test_dataloader, 'GenerateMasks', masks)
