# What the ablations change one thing of: the compact recipe, or the entry config in the environment
# variable MMSGDFUSE_RECIPE (an absolute path, or one relative to this folder), such as the paper's:
#     MMSGDFUSE_RECIPE=../../sgdfuse_msrs.py python tools/train.py configs/ablations/wo-sam.py
_base_ = '{{$MMSGDFUSE_RECIPE:../../sgdfuse-compact_ivif.py}}'
