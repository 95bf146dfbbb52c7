# Table 3, w/o SAM: random crops of the images instead of masks, the same ones in every test
_base_ = './_base_/stage-two-masks.py'
from mmsgdfuse.utils.config import insert_transform

masks = dict(type='RandomCropMasks')
test_masks = dict(type='RandomCropMasks', seed=0)
train_dataloader = insert_transform(_base_.train_dataloader, 'GenerateMasks', masks)
val_dataloader = insert_transform(_base_.val_dataloader, 'GenerateMasks', test_masks)
test_dataloader = insert_transform(_base_.test_dataloader, 'GenerateMasks', test_masks)
