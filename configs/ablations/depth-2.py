# Fig. 10: 2 MSFEM and 2 transformer blocks; the recipe has 3 of each
_base_ = './_base_/recipe.py'

model = dict(preliminary=dict(depth=2))
