_base_ = './yolox-s_msrs-visible.py'
# images that any method fused, below data_root; refused if they are those of a source
train_dataloader = dict(dataset=dict(data_prefix=dict(img='train/fused')))
val_dataloader = dict(dataset=dict(data_prefix=dict(img='test/fused')))
test_dataloader = val_dataloader
fused_from = dict(
    train=dict(ir='train/ir', vis='train/vi'),
    val=dict(ir='test/ir', vis='test/vi'),
    test=dict(ir='test/ir', vis='test/vi'),
)
