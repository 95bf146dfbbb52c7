_base_ = './yolox-s_msrs-visible.py'
train_dataloader = dict(dataset=dict(data_prefix=dict(img='train/ir')))
val_dataloader = dict(dataset=dict(data_prefix=dict(img='test/ir')))
test_dataloader = val_dataloader
