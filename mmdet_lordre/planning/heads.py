"""Neck and head of each family, as text of a config."""
from .fit import Fit


def head_text(fit: Fit) -> str:
    """The lines of ``model`` that follow the backbone, without its closing bracket."""
    size = fit.dimensions
    write = dict(lordre=_lordre, polarmask=_polarmask, solov2=_solov2).get(fit.family, _aggmask)
    return write(fit, size, size.stage_channels(fit.stages))


def _groups(channels):
    return 32 if channels >= 256 else 8


def _norm(channels):
    return f"dict(type='GN', num_groups={_groups(channels)}, requires_grad=True)"


def _fpn(size, channels, first, levels):
    return ('    neck=dict(\n'
            f"        type='FPN', in_channels={channels}, out_channels={size.neck},\n"
            f'        start_level={first}, num_outs={levels}),\n')


def _grid_numbers(fit):
    heads = fit.heads
    return (
        '        # samples that a mask must have more of: the smallest objects have few\n'
        f'        strides={heads["strides"]},\n'
        '        # sides in pixels: most of the objects are for the finest level, the largest '
        'few\n        # for the coarsest\n'
        f'        scale_ranges={heads["scale_ranges"]},\n'
        '        # three cells across an object, and hardly two objects in one\n'
        f'        num_grids={heads["num_grids"]},\n'
        '        # 0.4, or 0.3 where many images have more than 30 objects: more cells learn '
        'each\n        # object than with the published 0.2\n'
        f'        pos_scale={heads["pos_scale"]},\n')


def _grid_test(fit):
    heads = fit.heads
    return ('    test_cfg=dict(\n'
            f'        # {fit.why["most"]}, and each is found in several cells\n'
            f'        nms_pre={heads["nms_pre"]}, max_per_img={heads["max_per_img"]},\n'
            "        score_thr=0.05, mask_thr=0.5, filter_thr=0.02, kernel='gaussian', sigma=2.0,\n"
            "        mask_format='rle')")


_FOCAL = ("dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25,\n"
          '                      loss_weight=2.0)')


def _solov2(fit, size, channels):
    levels = fit.stages
    return (_fpn(size, channels, 0, levels)
            + '    # windows: each cell knows from the first step on where its mask is\n'
              '    mask_head=dict(\n'
              "        type='SOLOv2WindowHead',\n"
              f'        num_classes={fit.heads["num_classes"]}, in_channels={size.neck},\n'
              f'        feat_channels={size.head}, stacked_convs={size.convs},\n'
            + _grid_numbers(fit)
            + '        mask_feature_head=dict(\n'
              f'            feat_channels={size.neck}, start_level=0, end_level={levels - 1},\n'
              f'            out_channels={size.neck}, mask_stride=4,\n'
              f'            norm_cfg={_norm(size.neck)}),\n'
              "        loss_mask=dict(type='DiceLoss', use_sigmoid=True, loss_weight=3.0),\n"
              f'        loss_cls={_FOCAL},\n'
              f'        norm_cfg={_norm(size.head)}),\n'
            + _grid_test(fit))


def _aggmask(fit, size, channels):
    kind = 'AggMaskStarHead' if fit.family == 'aggmask_star' else 'AggMaskHead'
    return (_fpn(size, channels, 0, fit.stages)
            + '    mask_head=dict(\n'
              f'        type={kind!r},\n'
              f'        num_classes={fit.heads["num_classes"]}, in_channels={size.neck},\n'
              f'        feat_channels={size.neck}, stacked_convs={size.convs},\n'
            + _grid_numbers(fit)
            # 0 where of a level's masks one in a hundred has less than 64 pixels of the input
            + ('        # masks are learned from one pixel of the input on, not from the published '
               '10: some\n        # objects have few\n'
               '        min_mask_area=1,\n' if 0 in fit.heads['strides'] else '')
            + '        # windows: each cell knows from the first step on where its mask is\n'
              '        windows=True,\n'
              '        # all masks of an image share what tells objects from the rest\n'
              '        foreground=True,\n'
              '        # fusion passes on the map of a cell\'s own at first, in place of noise\n'
              '        plain_start=True,\n'
              '        # cells an image, drawn in each step: fusing all masks takes longest\n'
              '        max_masks=32,\n'
              f'        loss_cls={_FOCAL},\n'
              f'        norm_cfg={_norm(size.neck)}),\n'
            + _grid_test(fit))


def _polarmask(fit, size, channels):
    heads = fit.heads
    first = 0 if heads['strides'][0] == 4 else 1
    strides = heads['strides']
    return (_fpn(size, channels, first, len(strides))
            + '    bbox_head=dict(\n'
              "        type='PolarMaskHead',\n"
              f'        num_classes={heads["num_classes"]}, in_channels={size.neck},\n'
              f'        feat_channels={size.neck}, stacked_convs={size.convs},\n'
              f'        strides={strides},\n'
              '        # an object belongs where it is about six strides wide\n'
              f'        regress_ranges={heads["regress_ranges"]},\n'
              f'        num_rays={heads["num_rays"]},\n'
            + (f'        # {fit.why["holes"]}: rays begin behind that around the center\n'
               '        holes=True,\n' if heads['holes'] else
               '        # rays end on the contour, however few pixels it has\n'
               '        exact_rays=True,\n') +
              f'        norm_cfg={_norm(size.neck)}),\n'
              '    test_cfg=dict(\n'
              f'        # {fit.why["most"]}, and each is found at several points\n'
              f'        nms_pre={heads["nms_pre"]}, max_per_img={heads["max_per_img"]},\n'
              "        score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5),\n"
              "        fill='rounded', mask_format='rle')")


def _lordre(fit, size, channels):
    heads = fit.heads
    width = max(size.neck, 64)
    regions = ('        # classes are what a network from scratch learns last\n'
               '        region_classifier=dict(hidden_channels=128),\n'
               if heads['num_classes'] > 1 else '')
    return (
        '    # features of stride 4\n'
        '    neck=dict(\n'
        f"        type='LordreEncoder', in_channels={tuple(channels)}, out_channels={width}),\n"
        '    # queries that come from places: they learn from scratch what filters do not\n'
        '    mask_head=dict(\n'
        "        type='LordrePlaceHead',\n"
        f'        num_classes={heads["num_classes"]}, in_channels={width}, channels={width},\n'
        f'        depth={size.convs}, kernel_dim=16,\n'
        f'        # {fit.why["queries"]}\n'
        f'        num_queries={heads["num_queries"]},\n'
        '        # 5 where places of two objects are not nearer, else 3\n'
        f'        peak={heads["peak"]},\n'
        "        norm_cfg=dict(type='BN'),\n"
        '        # masks of stride 2; their losses look closely around the objects\n'
        '        mask_upsample=2, crop_size=32,\n'
        + regions +
        "        loss_cls=dict(type='CrossEntropyLoss', loss_weight=2.0)),\n"
        "    test_cfg=dict(score_thr=0.005, mask_thr=0.45, mask_format='rle')")
