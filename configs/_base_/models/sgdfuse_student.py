# The distilled feed-forward network: levels at 1/2, 1/4 and 1/8 of the image's size
network = dict(type='StudentNet', widths=(24, 32, 48), depths=(1, 2, 2))
