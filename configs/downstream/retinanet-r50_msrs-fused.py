_base_ = './retinanet-r50_msrs-visible.py'
model = dict(_delete_=True, type='mmsgdfuse.FusedDetector', model={{_base_.model}})
train_dataloader = dict(dataset=dict(pipeline={{_base_.fused_train_pipeline}}))
val_dataloader = dict(dataset=dict(pipeline={{_base_.fused_test_pipeline}}))
test_dataloader = val_dataloader
