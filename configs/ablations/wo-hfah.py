# Table 3, w/o HFAH: plain convolutions over the decoder's last level
_base_ = './_base_/recipe.py'

model = dict(head=dict(type='LastLevelHead'))
