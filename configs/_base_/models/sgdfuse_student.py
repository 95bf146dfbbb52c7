# The distilled feed-forward network: levels at 1/2, 1/4, 1/8 and 1/16 of the image's size
network = dict(type='StudentNet', widths=(24, 32, 32, 32), depths=(1, 2, 1, 1))
