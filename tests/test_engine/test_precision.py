"""Training in bfloat16 on a CPU."""

import torch
from mmengine.model import BaseModel
from torch import nn

from mmsgdfuse.registry import OPTIM_WRAPPERS


class Line(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.seen = []

    def forward(self, inputs, data_samples=None, mode='tensor'):
        output = self.layer(inputs)
        self.seen.append(output.dtype)
        return {'loss': output.float().square().mean()}


def test_the_model_runs_in_bfloat16_and_its_weights_stay_single():
    torch.manual_seed(0)
    model = Line()
    before = model.layer.weight.clone()
    wrapper = OPTIM_WRAPPERS.build(
        dict(
            type='mmsgdfuse.BFloat16OptimWrapper',
            optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        )
    )
    model.train_step(dict(inputs=torch.ones(3, 2)), wrapper)
    assert model.seen == [torch.bfloat16]
    assert model.layer.weight.dtype == torch.float32
    assert not torch.equal(model.layer.weight, before)
    # and nothing of it remains outside
    assert not torch.is_autocast_enabled('cpu')
