_base_ = './yolox-tiny_llvip-visible.py'
train_dataloader = dict(dataset=dict(data_prefix=dict(img='infrared/train')))
val_dataloader = dict(dataset=dict(data_prefix=dict(img='infrared/test')))
test_dataloader = val_dataloader
