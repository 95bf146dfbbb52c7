_base_ = './yolox-s_llvip-visible.py'
# images that any method fused, below data_root; refused if they are those of a source
train_dataloader = dict(dataset=dict(data_prefix=dict(img='fused/train')))
val_dataloader = dict(dataset=dict(data_prefix=dict(img='fused/test')))
test_dataloader = val_dataloader
fused_from = dict(
    train=dict(ir='infrared/train', vis='visible/train'),
    val=dict(ir='infrared/test', vis='visible/test'),
    test=dict(ir='infrared/test', vis='visible/test'),
)
