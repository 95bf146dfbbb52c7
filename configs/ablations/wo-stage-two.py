# Table 3, w/o Stage II: Stage I alone, trained on by the fusion phase's losses for its epochs, so
# that what is missing is the second stage and not what it is judged by
_base_ = './_base_/recipe.py'

model = dict(
    _delete_=True,
    type='PreliminaryFuser',
    preliminary=_base_.model.preliminary,
    losses=_base_.model.losses,
)
phases = [_base_.phases[0], dict(_base_.phases[2], inherits=('preliminary',))]
