# The compact SGDFuse with less infrared light outside the masks, and more weight on edges
_base_ = './sgdfuse-compact_ivif.py'

model = dict(
    losses=dict(
        intensity=dict(background=0.35),
        brightness=dict(background=0.35),
        rims=dict(background=0.35),
        edges=dict(loss_weight=10.0),
        differences=dict(loss_weight=0.5),
    )
)
