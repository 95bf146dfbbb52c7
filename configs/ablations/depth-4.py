# Fig. 10: 4 MSFEM and 4 transformer blocks; the recipe has 3 of each
_base_ = './_base_/recipe.py'

model = dict(preliminary=dict(depth=4))
