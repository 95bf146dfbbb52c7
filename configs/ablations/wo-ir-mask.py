# Table 3, w/o IR SAM: nothing stands out in the infrared image
_base_ = './_base_/stage-two-masks.py'
from mmsgdfuse.utils.config import insert_transform

no_mask = dict(type='DropMask', keys=['mask_ir'])
train_dataloader = insert_transform(_base_.train_dataloader, 'GenerateMasks', no_mask)
val_dataloader = insert_transform(_base_.val_dataloader, 'GenerateMasks', no_mask)
test_dataloader = insert_transform(_base_.test_dataloader, 'GenerateMasks', no_mask)
