_base_ = './recipe.py'

# Stage I sees no masks, so its phase stays as it is and need not be trained again
phases = [dict(_base_.phases[0], takes=('model.preliminary',)), *_base_.phases[1:]]
