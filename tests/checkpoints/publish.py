"""The published names of our parameters: the conversion backwards, written on its own.

Each function takes our name and gives the published ones (two, where ours is a concatenation).
"""
import re


def torchvision(name):
    return [name]


def mmdet_1x(name):
    """As torchvision, with the offsets of deformable convolutions beside them."""
    return [name.replace('.conv2.conv_offset.', '.conv2_offset.')]


def detectron2(name):
    if name.startswith('conv1.'):
        return ['stem.' + name]
    if name.startswith('bn1.'):
        return [name.replace('bn1', 'stem.conv1.norm')]
    name = re.sub(r'^layer(\d)', lambda m: f'res{int(m[1]) + 1}', name)
    name = name.replace('.downsample.0.', '.shortcut.').replace('.downsample.1.',
                                                                '.shortcut.norm.')
    return [re.sub(r'\.bn(\d)\.', r'.conv\1.norm.', name).replace('.conv2.conv_offset.',
                                                                  '.conv2_offset.')]


def timm_d(name):
    if name.startswith('stem.7.'):
        return [name.replace('stem.7', 'bn1')]
    return mmdet_1x(re.sub(r'^stem\.', 'conv1.', name))


def pvt(name):
    _, stage, part, rest = re.fullmatch(r'(layers)\.(\d)\.(\d)\.(.*)', name).groups()
    stage = int(stage) + 1
    if part == '0':
        return [f'patch_embed{stage}.' + rest.replace('projection', 'proj')]
    if part == '2':
        return [f'norm{stage}.{rest}']
    block = f'block{stage}.'
    if '.in_proj_' in rest:
        return [block + rest.replace('attn.attn.in_proj_', f'attn.{piece}.')
                for piece in ('q', 'kv')]
    rest = rest.replace('attn.attn.out_proj', 'attn.proj').replace('ffn.layers.0', 'mlp.fc1')
    rest = rest.replace('ffn.layers.1', 'mlp.dwconv.dwconv').replace('ffn.layers.4', 'mlp.fc2')
    return [block + rest]


def timm_darknet(name):
    return [name]


def sparseinst(name, backbone):
    if name.startswith('backbone.'):
        return ['backbone.' + published for published in backbone(name[len('backbone.'):])]
    return [re.sub('^mask_head', 'decoder', re.sub('^neck', 'encoder', name))]


def solov2(name):
    name = name.replace('mask_head.mask_feature_head.', 'mask_feat_head.')
    name = name.replace('mask_feat_head.conv_pred.', 'mask_feat_head.conv_pred.0.')
    name = name.replace('mask_head.', 'bbox_head.').replace('cls_convs', 'cate_convs')
    name = name.replace('conv_cls', 'solo_cate').replace('conv_kernel', 'solo_kernel')
    return mmdet_1x(name) if name.startswith('backbone.') else [name]


def aggmask(name):
    name = name.replace('mask_head.', 'bbox_head.')
    return mmdet_1x(name) if name.startswith('backbone.') else [name]


def polarmask(name):
    return mmdet_1x(name) if name.startswith('backbone.') else [name]


def polarmask_dcn(name):
    """Deformable towers are flat lists: convolution, norm, ReLU, convolution, ..."""
    match = re.fullmatch(r'(bbox_head\.(?:cls|reg|mask)_convs)\.(\d)\.(conv|gn)\.(.*)', name)
    if not match:
        return polarmask(name)
    place = 3 * int(match[2]) + (match[3] == 'gn')
    return [f'{match[1]}.{place}.' + match[4].replace('conv_offset', 'conv_offset_mask')]


def publish(state, rename):
    """``({published name: tensor}, {our name: its published names})`` of a state dict of ours."""
    published, names = {}, {}
    for name, value in state.items():
        names[name] = tuple(rename(name))
        if len(names[name]) == 2:
            pieces = value.split([len(value) // 3, len(value) - len(value) // 3])
        else:
            pieces = [value]
        for source, piece in zip(names[name], pieces):
            assert source not in published
            linear = re.search(r'mlp\.fc[12]\.weight$', source)
            published[source] = piece[..., 0, 0] if linear else piece
    return published, names
