# The embedded example with windows: SOLOv2 that learns in a quarter of the time.
_base_ = './solov2_r18_fpn_shapes.py'

model = dict(mask_head=dict(type='SOLOv2WindowHead'))
custom_hooks = [dict(type='ChannelsLastHook')]
