"""What takes part in ``learning.py``: data sets, and models of like size for them."""
import json
import os

from mmengine.config import Config, ConfigDict

from mmdet_lordre.config.own_data import use_own_data
from mmdet_lordre.config.reading import load_config

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'configs')
FLIPS = dict(type='RandomFlip', prob=[0.25, 0.25, 0.25],
             direction=['horizontal', 'vertical', 'diagonal'])
LOAD = [dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True, with_mask=True)]
META = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')


def _grid(num_grids, ranges):
    return {'model.mask_head.num_grids': num_grids, 'model.mask_head.scale_ranges': ranges}


_SHAPES = {
    'lordre': ('lordre/lordre_r18_giam_shapes.py', {}),
    'lordre-places': ('lordre/lordre-places_r18_shapes.py', {}),
    'solov2': ('solov2/solov2_r18_fpn_shapes.py', {}),
    'solov2-windows': ('solov2/solov2-windows_r18_fpn_shapes.py', {}),
    'aggmask': ('aggmask/aggmask_r18_fpn_shapes.py', {}),
    'aggmask-star': ('aggmask/aggmask_star_r18_fpn_shapes.py', {}),
    'polarmask': ('polarmask/polarmask_r18_fpn_shapes.py', {}),
    'mmdet-solov2': ('solov2/solov2_r18_fpn_shapes_mmdet-head.py', {}),
    'mmdet-mask-rcnn': ('mask-rcnn', {}),
    'mmdet-rtmdet-ins': ('rtmdet-ins', {}),
}
# Nuclei have a side of 16 px at 320, and there are up to 151: finer grids, more results.
_NUCLEI_GRID = _grid((40, 24, 12), ((1, 32), (24, 64), (48, 512))) | {
    'model.mask_head.strides': (1, 4, 8),
    'model.test_cfg.nms_pre': 500, 'model.test_cfg.max_per_img': 150}
_NUCLEI = dict(_SHAPES, **{
    'lordre': ('lordre/lordre_r18_giam_small-data.py', {'model.mask_head.num_queries': 100}),
    'lordre-places': ('lordre/lordre-places_r18_small-data.py', {}),
} | {name: (_SHAPES[name][0], _NUCLEI_GRID)
     for name in ('solov2', 'solov2-windows', 'aggmask', 'aggmask-star', 'mmdet-solov2')})
_NUTS_GRID = _grid((24, 16, 10), ((1, 48), (32, 96), (64, 512)))
_NUTS = dict(_SHAPES, **{
    'lordre': ('lordre/lordre_r18_giam_small-data.py', {}),
    'lordre-places': ('lordre/lordre-places_r18_small-data.py', {}),
} | {name: (_SHAPES[name][0], _NUTS_GRID)
     for name in ('solov2', 'solov2-windows', 'aggmask', 'aggmask-star', 'mmdet-solov2')})
#: set -> name -> (config below configs/, or a model of this file; options)
RUNNERS = dict(shapes=_SHAPES, nuclei=_NUCLEI, nuts=_NUTS)
FOLDS = dict(shapes=1, nuclei=1, nuts=6)


def race_config(which: str, runner: str, data: str, fold: int, folder: str,
                options: dict | None = None, given: tuple | None = None) -> tuple[Config, str]:
    """The config of a run, and the annotation file that it is judged by.

    Args:
        which: ``'shapes'``, ``'nuclei'`` or ``'nuts'``.
        runner: A name of :data:`RUNNERS`, or the path of a config for this data.
        data: Folder of the data set.
        fold: Of nuts, which three photographs are held out.
        folder: Where the files of a fold are written.
        options: Values that override the config, by dotted key.
        given: Annotation files and image folders, of training and validation, in place of those.
    """
    path, own = RUNNERS[which].get(runner, (runner, {}))
    if path in _MODELS:
        cfg = load_config(os.path.join(ROOT, 'solov2/solov2_r18_fpn_shapes.py'))
        cfg.model = ConfigDict(_MODELS[path]())
        cfg.custom_hooks = []
    else:
        cfg = load_config(path if os.path.isfile(path) else os.path.join(ROOT, path))
    if which == 'shapes':
        files = [os.path.join(data, 'annotations', f'{split}.json') for split in ('train', 'val')]
        images = [os.path.join(data, split) for split in ('train', 'val')]
    else:
        files, images = given or _files(which, data, fold, folder)
        if 'small-data' not in path and runner in RUNNERS[which]:
            _photographs(cfg, polar='polarmask' in path)
    use_own_data(cfg, files[0], files[1], images[0], images[1])
    for key, value in (own | (options or {})).items():
        cfg.merge_from_dict({key: value})
    return cfg, files[1]


def _files(which, data, fold, folder):
    """Annotation files for training and validation, and their image folders."""
    images = os.path.join(data, 'images')
    if which == 'nuclei':
        return [os.path.join(data, f'{split}.json') for split in ('train', 'val')], [images] * 2
    with open(os.path.join(data, 'annotations.json')) as file:
        whole = json.load(file)
    held = {image['id'] for image in whole['images'][3 * fold:3 * fold + 3]}
    paths = []
    for split in ('train', 'val'):
        part = dict(whole, images=[i for i in whole['images']
                                   if (i['id'] in held) == (split == 'val')])
        part['annotations'] = [a for a in whole['annotations']
                               if (a['image_id'] in held) == (split == 'val')]
        paths.append(os.path.join(folder, f'fold{fold}-{split}.json'))
        with open(paths[-1], 'w') as file:
            json.dump(part, file)
    return paths, [images] * 2


def _photographs(cfg, polar):
    """Real pictures in place of the shapes: a longer side of 320 px, sizes and flips at random."""
    contours = [dict(type='ExtractContours', holes=True)] if polar else []
    cfg.train_dataloader.dataset.pipeline = [
        *LOAD, dict(type='RandomResize', scale=(320, 320), ratio_range=(0.8, 1.2),
                    keep_ratio=True), FLIPS, *contours, dict(type='PackDetInputs')]
    cfg.train_dataloader.batch_size = 4
    resize = dict(type='Resize', scale=(320, 320), keep_ratio=True)
    for split in ('val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.batch_size = 1
        loader.dataset.pipeline = [LOAD[0], resize, LOAD[1],
                                   dict(type='PackDetInputs', meta_keys=META)]
    cfg.optim_wrapper.optimizer.lr = 1e-3


def _mask_rcnn():
    """mmdet's Mask R-CNN on half a ResNet-18, narrowed to match."""
    model = Config.fromfile(_mmdet('mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py')).model
    model.backbone = _backbone((0, 1, 2, 3))
    model.neck.update(in_channels=[32, 64, 128, 256], out_channels=64)
    model.rpn_head.update(in_channels=64, feat_channels=64)
    model.rpn_head.anchor_generator.scales = [4]
    roi = model.roi_head
    roi.bbox_roi_extractor.out_channels = roi.mask_roi_extractor.out_channels = 64
    roi.bbox_roi_extractor.finest_scale = 28
    roi.mask_roi_extractor.finest_scale = 28
    roi.bbox_head.update(in_channels=64, fc_out_channels=256)
    roi.mask_head.update(in_channels=64, conv_out_channels=64)
    model.train_cfg.rcnn.sampler.num = 256
    model.test_cfg.rcnn.max_per_img = 150
    return model


def _rtmdet_ins():
    """mmdet's RTMDet-Ins, narrowed to match."""
    model = Config.fromfile(_mmdet('rtmdet/rtmdet-ins_tiny_8xb32-300e_coco.py')).model
    model.data_preprocessor = dict(
        type='DetDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True, pad_mask=True, pad_size_divisor=32)
    model.backbone.update(deepen_factor=0.167, widen_factor=0.25, init_cfg=None,
                          norm_cfg=dict(type='BN'))
    model.neck.update(in_channels=[64, 128, 256], out_channels=64, norm_cfg=dict(type='BN'))
    model.bbox_head.update(in_channels=64, feat_channels=64, norm_cfg=dict(type='BN'))
    model.test_cfg.update(score_thr=0.01, max_per_img=150)
    return model


def _backbone(out_indices):
    return dict(type='ResNet', depth=18, num_stages=4, base_channels=32, stem_channels=32,
                deep_stem=True, out_indices=out_indices, frozen_stages=-1, norm_eval=False,
                norm_cfg=dict(type='BN', requires_grad=True), style='pytorch')


def _mmdet(name):
    import mmdet
    return os.path.join(os.path.dirname(mmdet.__file__), '.mim', 'configs', name)


_MODELS = {'mask-rcnn': _mask_rcnn, 'rtmdet-ins': _rtmdet_ins}
