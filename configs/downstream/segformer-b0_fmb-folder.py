_base_ = './segformer-b0_fmb-visible.py'
# images that any method fused, below data_root; refused if they are those of a source
train_dataloader = dict(dataset=dict(data_prefix=dict(img_path='train/fused')))
val_dataloader = dict(dataset=dict(data_prefix=dict(img_path='test/fused')))
test_dataloader = val_dataloader
fused_from = dict(
    train=dict(ir='train/Infrared', vis='train/Visible'),
    val=dict(ir='test/Infrared', vis='test/Visible'),
    test=dict(ir='test/Infrared', vis='test/Visible'),
)
