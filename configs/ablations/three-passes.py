# Features at the paper's three diffusion times; the compact recipe reads the first of them, in a
# third of the passes through the U-Net, and its values must not fall behind by more than 0.01
_base_ = './_base_/recipe.py'

model = dict(feature_timesteps=(5, 50, 100))
