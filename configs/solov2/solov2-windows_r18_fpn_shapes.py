# The embedded example with windows: SOLOv2 that learns in a quarter of the time.
_base_ = './solov2_r18_fpn_shapes.py'

model = dict(mask_head=dict(type='SOLOv2WindowHead'))
optim_wrapper = dict(optimizer=dict(
    _delete_=True, type='MuonWithAdamW', lr=8e-3, weight_decay=0.05))
custom_hooks = [dict(type='ChannelsLastHook')]
