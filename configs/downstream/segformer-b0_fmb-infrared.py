_base_ = './segformer-b0_fmb-visible.py'
train_dataloader = dict(dataset=dict(data_prefix=dict(img_path='train/Infrared')))
val_dataloader = dict(dataset=dict(data_prefix=dict(img_path='test/Infrared')))
test_dataloader = val_dataloader
