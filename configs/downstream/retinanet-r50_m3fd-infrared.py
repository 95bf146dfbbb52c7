_base_ = './retinanet-r50_m3fd-visible.py'
train_dataloader = dict(dataset=dict(data_prefix=dict(img='Ir')))
val_dataloader = dict(dataset=dict(data_prefix=dict(img='Ir')))
test_dataloader = val_dataloader
