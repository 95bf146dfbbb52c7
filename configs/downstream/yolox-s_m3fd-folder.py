_base_ = './yolox-s_m3fd-visible.py'
# images that any method fused, below data_root; refused if they are those of a source
train_dataloader = dict(dataset=dict(data_prefix=dict(img='fused')))
val_dataloader = dict(dataset=dict(data_prefix=dict(img='fused')))
test_dataloader = val_dataloader
fused_from = dict(
    train=dict(ir='Ir', vis='Vis'),
    val=dict(ir='Ir', vis='Vis'),
    test=dict(ir='Ir', vis='Vis'),
)
