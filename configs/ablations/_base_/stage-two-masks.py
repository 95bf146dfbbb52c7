_base_ = './recipe.py'

# Stage I sees no masks, so its phase keeps the recipe's data and need not be trained again
stage_one = {key: _base_[key] for key in ('train_dataloader', 'val_dataloader', 'test_dataloader')}
takes = {key: f'stage_one.{key}' if key in stage_one else key for key in _base_.phases[0].takes}
phases = [dict(_base_.phases[0], takes=takes), *_base_.phases[1:]]
