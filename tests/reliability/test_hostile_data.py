"""Unusual images and annotations: what is kept is learned and tested, the rest is named."""
import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from pycocotools import mask as mask_api

from mmdet_lordre.cli.check_dataset import main as check_dataset
from mmdet_lordre.cli.train import main as train
from mmdet_lordre.datasets.coco_file import clean_name

from ..cli.tiny import NAMES, read_json
from .families import FAMILIES, family_config, write_family
from .hostile import KEPT, REFUSED, TESTED, instance, photo, rectangle, write_hostile


@pytest.fixture(scope='module')
def kept(tmp_path_factory):
    return write_hostile(tmp_path_factory.mktemp('kept'), KEPT | TESTED)


def build(family, ann):
    """(model, training data, test data) of a family for an annotation file."""
    init_default_scope('mmdet')
    cfg = family_config(family)
    datasets = []
    for split in ('train', 'test'):
        config = cfg[f'{split}_dataloader'].dataset
        config.update(ann_file=ann, data_root='', metainfo=dict(classes=NAMES),
                      data_prefix=dict(img=ann.rsplit('/', 1)[0] + '/images'))
        datasets.append(DATASETS.build(config))
    torch.manual_seed(0)
    head = cfg.model.get('mask_head') or cfg.model.bbox_head
    head.num_classes = len(NAMES)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model, *datasets


def step(model, samples):
    """Losses and gradients of a batch are finite; returns the losses."""
    model.train()
    model.zero_grad()
    data = model.data_preprocessor(pseudo_collate(samples), training=True)
    total, logs = model.parse_losses(model(**data, mode='loss'))
    total.backward()
    for name, value in logs.items():
        assert bool(torch.isfinite(value).all()), name
    for name, parameter in model.named_parameters():
        assert parameter.grad is None or bool(parameter.grad.isfinite().all()), name
    return logs


def predict(model, sample):
    """Masks of a sample have the size of its image, and can be encoded."""
    model.eval()
    with torch.no_grad():
        result = model.test_step(pseudo_collate([sample]))[0]
    found = result.pred_instances
    assert len(found.masks) == len(found.scores) == len(found.labels) == len(found.bboxes)
    assert bool(torch.isfinite(found.scores).all())
    masks = np.asarray(found.masks.cpu() if isinstance(found.masks, torch.Tensor)
                       else mask_api.decode(list(found.masks)).transpose(2, 0, 1))
    if len(found):
        assert masks.shape[1:] == tuple(result.ori_shape)
        mask_api.encode(np.asfortranarray(masks[0].astype(np.uint8)))


def check_family(family, ann):
    model, train_data, test_data = build(family, ann)
    for index in range(len(test_data)):
        predict(model, test_data[index])
    samples = [train_data[i] for i in range(len(train_data))
               if min(train_data.get_data_info(i)[side] for side in ('height', 'width')) > 1]
    for sample in samples:
        logs = step(model, [sample])
        if not len(sample['data_samples'].gt_instances):
            # what background alone teaches: no mask
            assert all(float(v) == 0 for k, v in logs.items()
                       if any(part in k for part in ('mask', 'dice', 'bbox', 'center')))
    # a batch is as tall and wide as its tallest and widest: the long ones by themselves
    long = [max(sample['inputs'].shape) > 500 for sample in samples]
    for chosen in (True, False):
        step(model, [one for one, is_long in zip(samples, long, strict=True) if is_long is chosen])
    # a batch in which no image has an instance
    step(model, [s for s in samples if not len(s['data_samples'].gt_instances)])


@pytest.mark.parametrize('family', FAMILIES)
def test_kept(family, kept):
    check_family(family, kept)


@pytest.mark.long
@pytest.mark.parametrize('family', FAMILIES)
def test_large_images(family, tmp_path):
    square = [2000, 1000, 3000, 1000, 3000, 2000, 2000, 2000]
    check_family(family, write_hostile(tmp_path, {
        'large': ('large.png', [instance(square)] * 20, photo(6000, 4000)),
        'nothing': ('nothing.png', [], None),
        'a line': ('line.png', [instance(rectangle(4000, 2))], photo(4000, 2)),
        'a column': ('column.png', [instance(rectangle(2, 4000))], photo(2, 4000))}))


def test_the_tool_finds_all_of_it(run_script, tmp_path):
    """And what it leaves over is trained on, which --skip-bad does by itself."""
    ann = write_hostile(tmp_path, KEPT | REFUSED)
    done = run_script('check_dataset.py', ann, tmp_path / 'images')
    assert done.returncode == 1 and 'Traceback' not in done.stderr, done.stderr
    kinds = ('bad run lengths', 'not finite', 'bad polygon', 'duplicate id', 'no mask',
             'image too small', 'image truncated', 'image unreadable', 'image missing',
             'image of another size', 'outside', 'no pixels', 'tiny', 'beyond the border',
             'self-crossing', 'crowd',
             'image without instances', 'crowded image', 'not 8-bit color',
             'turned by its tag', 'extreme shape')
    for kind in kinds:
        assert any(line.startswith(f'{kind}  ') for line in done.stdout.splitlines()), kind
    assert 'annotation 1 (image same.png)' in done.stdout  # the later one of the two
    assert 'image cut.jpg: the image' in done.stdout and 'ends early' in done.stdout

    clean = tmp_path / 'clean.json'
    check_dataset([ann, str(tmp_path / 'images'), '--clean', str(clean)])
    left = read_json(clean)
    names = {image['file_name'] for image in left['images']}
    gone = {'cut.jpg', 'text.png', 'missing.png', 'size.png', '1x1.png', '1xn.png', 'nx1.png'}
    assert names.isdisjoint(gone) and len(names) == len(KEPT) + len(REFUSED) - len(gone)
    check_dataset([str(clean), str(tmp_path / 'images')])  # does not stop

    config = write_family(tmp_path / 'config.py', 'lordre', train_cfg__max_iters=2)
    runner = train([config, '--train-ann', ann, '--train-images', f'{tmp_path}/images',
                    '--work-dir', f'{tmp_path}/work', '--skip-bad', '--cfg-options',
                    'default_hooks.checkpoint.interval=9'])
    assert runner.iter == 2 and len(runner.train_dataloader.dataset) == len(names)
    assert read_json(clean_name(ann, f'{tmp_path}/work/clean'))['images'] == left['images']
