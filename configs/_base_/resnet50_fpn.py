# The trunk with a feature pyramid of five levels, strides 4 to 64.
_base_ = './resnet50.py'

model = dict(
    neck=dict(
        type='FPN',
        in_channels=[256, 512, 1024, 2048],
        out_channels=256,
        start_level=0,
        num_outs=5))
