"""Lordre (SparseInst): whole models, from image to masks.

A case goes the whole way: checkpoint file, converter, the config of that name, the model; and its
ground truths through the matcher and the losses.
"""
import re

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData

import mmdet_lordre  # noqa: F401 - registers the models

from .case import OWN_CASES, assert_close, assert_detections, assert_loss
from .fill import ellipse_instances, fill_input

CONFIGS = OWN_CASES.parents[2] / 'configs' / 'lordre'
NUM_CLASSES = 80
STRIDE = 32

#: Loss of the published implementation -> ours.
LOSSES = {'loss_ce': 'loss_cls', 'loss_mask': 'loss_mask', 'loss_dice': 'loss_dice',
          'loss_objectness': 'loss_objectness'}


def config_path(source: str):
    """Our config for a source such as ``SparseInst sparse_inst_r50_dcn_giam_aug.yaml``.

    Raises:
        LookupError: the name has another form, or there is no such config.
    """
    published = source.split(' ')[-1]
    match = re.fullmatch(
        r'sparse_inst_(?P<backbone>.+?)(?P<dcn>_dcn)?_(?P<maps>base|giam)(?P<soft>_soft(?:max)?)?'
        r'(?P<aug>_aug)?(?P<amp>_fp16)?\.yaml', published)
    if not match:
        raise LookupError(f'{published}: not the name of a SparseInst config')
    backbone = match['backbone'].replace('_', '-') + ('-dcn' if match['dcn'] else '')
    maps = 'iam' if match['maps'] == 'base' else 'giam'
    # The authors' CSPDarkNet-53 config has the softmax form without saying so in its name.
    if match['soft'] or match['backbone'] == 'cspdarknet53':
        maps += '-soft'
    tail = ('_aug' if match['aug'] else '') + ('_amp' if match['amp'] else '')
    path = CONFIGS / f'lordre_{backbone}_{maps}{tail}_8xb8-270k_coco.py'
    if not path.is_file():
        raise LookupError(f'{published}: there is no {path.name}')
    return path


def build(case):
    """The model of the case's config with the converted weights."""
    cfg = Config.fromfile(config_path(case.meta['source']))
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    model.load_state_dict(case.converted(), strict=True)
    return model.eval()


def inputs(case):
    """Images (BGR, as a pipeline loads them) and data samples with the ground truths."""
    height, width = case.meta['H'], case.meta['W']
    images, samples = [], []
    for index, count in enumerate(case.meta['n_gt']):
        name = f'{case.name}/{index}'
        rgb = fill_input(name, (3, height, width), 0, 255)
        images.append(torch.from_numpy(rgb[::-1].copy()))
        boxes, labels, masks = ellipse_instances(name, height, width, count, NUM_CLASSES)
        sample = DetDataSample(metainfo=dict(
            img_id=index, img_shape=(height, width), ori_shape=tuple(case.meta['ori_shape']),
            scale_factor=(1.0, 1.0)))
        sample.gt_instances = InstanceData(
            bboxes=torch.from_numpy(boxes), labels=torch.from_numpy(labels),
            masks=BitmapMasks(masks, height, width))
        samples.append(sample)
    return images, samples


def check(case, device='cpu') -> None:
    """Compare encoder, raw outputs, matching, losses and final detections."""
    model = build(case).to(device)
    images, samples = inputs(case)
    data = model.data_preprocessor(dict(inputs=images, data_samples=samples), training=True)
    published = case.arrays
    with torch.no_grad():
        features = model.extract_feat(data['inputs'])
        assert_close('encoder', features[0][:, ::16], published['enc_sample'])
        logits, objectness, masks, maps = model.mask_head(features)
        assert_close('class logits', logits, published['pred_logits'])
        assert_close('objectness', objectness, published['pred_scores'][..., 0])
        assert_close('mask logits', masks[:, ::10], published['pred_masks_sample'])

        gts = [sample.gt_instances for sample in data['data_samples']]
        metas = [sample.metainfo for sample in data['data_samples']]
        check_matching(case, model.mask_head, logits, masks, gts, metas)
        losses = model.mask_head.loss_by_feat(logits, objectness, masks, maps,
                                              batch_gt_instances=gts, batch_img_metas=metas)
        for name, ours in LOSSES.items():
            assert_loss(name, losses[ours], published[name])
        results = model.mask_head.predict(features, data['data_samples'], rescale=True)
    for index, result in enumerate(results):
        assert_detections(case, index, result.scores, result.labels, result.masks)


def check_matching(case, head, logits, masks, gts, metas) -> None:
    """The pairs must be the published ones."""
    size, device = masks.shape[-2:], masks.device
    targets = [head._targets(gt, meta, size, device) for gt, meta in zip(gts, metas)]
    pairs = head.matcher(logits, masks.flatten(2).sigmoid(), [gt.labels for gt in gts], targets)
    for index, (query, gt) in enumerate(pairs):
        ours = sorted(zip(query.tolist(), gt.tolist()))
        theirs = sorted(zip(case.arrays[f'match{index}_pred'].tolist(),
                            case.arrays[f'match{index}_gt'].tolist()))
        assert ours == theirs, f'{case.name}, image {index}: pairs {ours}, published {theirs}'
