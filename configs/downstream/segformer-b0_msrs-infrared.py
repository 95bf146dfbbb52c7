_base_ = './segformer-b0_msrs-visible.py'
train_dataloader = dict(dataset=dict(data_prefix=dict(img_path='train/ir')))
val_dataloader = dict(dataset=dict(data_prefix=dict(img_path='test/ir')))
test_dataloader = val_dataloader
