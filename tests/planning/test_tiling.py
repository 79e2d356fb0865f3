"""Large pictures of small objects: learned on crops, judged and predicted by tiles."""
import json
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mmcv.transforms import Compose
from mmdet.apis import inference_detector
from mmdet.registry import DATASETS
from mmengine.config import Config
from pycocotools import mask as mask_api

from mmdet_lordre.cli import train as command
from mmdet_lordre.cli.demo import main as demo
from mmdet_lordre.cli.plan import main as plan_main
from mmdet_lordre.config.reading import load_config
from mmdet_lordre.models import build_model
from mmdet_lordre.planning import auto, run
from mmdet_lordre.planning.ceiling import ceiling_of
from mmdet_lordre.planning.cost import batches_of
from mmdet_lordre.planning.fit import fit
from mmdet_lordre.planning.objects import read_both, read_objects
from mmdet_lordre.planning.plan import config_of, make_plan
from mmdet_lordre.planning.sample import Looks
from mmdet_lordre.planning.tiling import cut, empty_share, tiles_of_pictures, tiling_of
from mmdet_lordre.planning.warnings import warnings_of
from mmdet_lordre.planning.writing import config_text
from mmdet_lordre.prediction.settings import Settings
from mmdet_lordre.prediction.sources import open_source
from mmdet_lordre.prediction.tiles import open_stream
from mmdet_lordre.prediction.trained_size import tile_of, trained_side
from mmdet_lordre.prediction.whole_pictures import WarnOfWholePictures
from mmdet_lordre.segmenter import Segmenter
from mmdet_lordre.training import minutes

from ..coco_ap import mask_ap
from .data import coco, objects, square, write


def spread(count, side, size, seed=0):
    """Squares anywhere in a picture."""
    rng = np.random.default_rng(seed)
    return [(square(*rng.integers(0, size - side, 2).tolist(), side), 0) for _ in range(count)]


class TestRule:
    @pytest.mark.parametrize('size, side, expected', [
        (1024, 20, (320, 320)),    # as they are
        (4000, 10, (160, 320)),    # twice as large: 10 px are too few
        (4000, 14, (224, 320)),
        (4000, 100, (1000, 320))])  # 32 of 100 px will do
    def test_crops(self, size, side, expected):
        found = tiling_of(objects([spread(40, side, size)], size=(size, size)))
        assert (found.tile, found.crop) == expected

    @pytest.mark.parametrize('size, side', [(256, 20), (640, 24), (1024, 100), (4000, 900)])
    def test_whole_pictures(self, size, side):
        assert tiling_of(objects([spread(40, side, size)], size=(size, size))) is None

    def test_crops_are_not_for_sizes_that_differ_widely(self):
        mixed = spread(30, 16, 2000) + spread(10, 900, 2000)
        assert tiling_of(objects([mixed], size=(2000, 2000))) is None

    @pytest.mark.parametrize('scaled, expected', [(1, (320, 320)), (10, None)])
    def test_of_pictures_cut_to_very_different_sizes(self, scaled, expected):
        """Most objects are in small ones; those of the large ones are as large, or ten times."""
        pictures = [spread(6, 30, 300, seed) for seed in range(30)]
        data = coco(pictures + [spread(40, 30 * scaled, 3000, 1), spread(40, 30 * scaled, 3000)],
                    size=(300, 300))
        for image in data['images'][-2:]:
            image.update(height=3000, width=3000)
        found = tiling_of(read_objects(data, 'hand.json', None))
        assert expected == (found and (found.tile, found.crop))


class TestCut:
    def test_every_object_is_in_one_tile_with_its_pixels(self):
        whole = objects([spread(60, 20, 1000), [], spread(5, 20, 1000, 1)], size=(1000, 700 + 300))
        tiles = cut(whole, 300)
        assert len(tiles) == len(whole) and (np.diff(tiles.images) >= 0).all()
        assert (tiles.sizes == 300).all() and (tiles.counts > 0).all()
        inside = tiles.boxes[:, 2:] - tiles.boxes[:, :2]
        assert (inside > 0).all() and (inside >= 9.99).all() and (tiles.boxes <= 300).all()
        areas = [int(mask_api.area(segment)) for segment in tiles.segments]
        assert areas == pytest.approx(inside.prod(1), abs=0.1)
        assert tiles.areas == pytest.approx(inside.prod(1))

    def test_a_picture_smaller_than_a_tile_stays(self):
        whole = objects([spread(4, 10, 80)], size=(80, 80))
        tiles = cut(whole, 300)
        assert tiles.sizes.tolist() == [[80, 80]] and tiles.boxes.tolist() == whole.boxes.tolist()

    def test_shares(self):
        whole = objects([[(square(10, 10, 20), 0)]], size=(600, 600))
        assert empty_share(whole, cut(whole, 300), 300) == 0.75
        # nine that lie over each other, and the whole
        assert tiles_of_pictures(whole, 300).tolist() == [10]
        assert tiles_of_pictures(whole, 600).tolist() == [1]


@pytest.mark.parametrize('family, sparse', [('lordre', False), ('solov2', True),
                                            ('polarmask', False)])
def test_configs(family, sparse, tmp_path):
    path = write(tmp_path, coco([spread(12, 16, 500)], size=(500, 500)))
    whole = objects([spread(12, 16, 500)], size=(500, 500))
    text = config_text(fit(cut(whole, 200), Looks(), family, longer=320, tile=200, sparse=sparse),
                       (path, str(tmp_path)), (path, str(tmp_path)))
    cfg = config_of(text)
    assert tile_of(cfg) == trained_side(cfg) == 200
    cfg.train_dataloader.batch_size = 8
    (batch, ), _ = batches_of(cfg, 1)
    sides = []
    for sample, pixels in zip(batch['data_samples'], batch['inputs']):
        assert max(pixels.shape[1:]) == 320 and len(sample.gt_instances) < 12
        boxes = sample.gt_instances.bboxes.tensor
        sides += (boxes[:, 2:] - boxes[:, :2]).flatten().tolist()
    # of 16 px in crops of 167 to 250; some are cut at the border
    assert 18 < max(sides) < 33
    # warnings are about what the network sees
    assert not any('enlarge' in line for line in warnings_of(cfg))
    assert ceiling_of(cfg, cut(whole, 200), range(2)).ap > 0.5


def test_what_is_a_pixel_wide_is_learned_and_what_a_crop_leaves_nothing_of_is_not(tmp_path):
    """It is judged, too. Of a bar that lies across, only the box meets some of the crops."""
    small = [(square(x, y, width, height), 0) for x in range(5, 490, 40) for y, width, height in (
        (10, 1, 30), (60, 2, 2), (110, 1, 1), (160, 2, 30))]
    across = [[0, 400, 4, 400, 500, 4, 500, 0, 496, 0, 0, 396]]
    data = coco([[*small, (across, 0)]], size=(500, 500))
    path = write(tmp_path, data)
    tiles = cut(read_objects(data, path, None), 200)
    cfg = config_of(config_text(fit(tiles, Looks(), 'solov2', longer=320, tile=200),
                                (path, str(tmp_path)), None))
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    # as cut, at the scale of the file
    steps = [step.type for step in cfg.train_pipeline].index('Resize')
    cut_out, found = Compose(cfg.train_pipeline[:steps]), set()
    for seed in range(40):
        np.random.seed(seed)
        crop = cut_out(dataset.get_data_info(0))
        assert (crop['gt_masks'].areas > 0).all()
        found |= {tuple(size) for size in np.stack([
            crop['gt_bboxes'].widths, crop['gt_bboxes'].heights], 1).astype(int).tolist()}
    assert {(1, 30), (2, 2), (1, 1), (2, 30)} <= found


@pytest.fixture
def quick(monkeypatch):
    """However long planning takes here, seven seconds are left to train."""
    monkeypatch.setattr(command, 'beginning', lambda: 0.)
    monkeypatch.setattr(run, 'time', SimpleNamespace(monotonic=lambda: 0.))
    monkeypatch.setattr(minutes, 'time', SimpleNamespace(monotonic=lambda: 2.))


def test_from_large_pictures_to_a_model_that_cuts_them(tmp_path, quick, capsys):
    pictures = [spread(12, 12, 500, seed) for seed in range(2)]
    train = write(tmp_path / 'train', coco(pictures, size=(500, 500)))
    val = write(tmp_path / 'val', coco(pictures[:1], size=(500, 500)))
    work = tmp_path / 'work'
    runner = command.main(['--auto', '--train-ann', train, '--val-ann', val, '--minutes', '0.2',
                           '--size', 'nano', '--family', 'polarmask', '--work-dir', str(work)])
    assert 'crops show them larger than whole pictures can' in capsys.readouterr().out
    assert type(runner.val_loop).__name__ == 'TiledValLoop'
    # validated on whole pictures, with what is found in all of their tiles
    found = json.loads((work / 'report' / 'results.segm.json').read_text())
    assert all(one['segmentation']['size'] == [500, 500] for one in found)
    figures = Segmenter(work, device='cpu').evaluate(json_out=str(tmp_path / 'r'))
    assert figures['coco/segm_mAP'] == pytest.approx(mask_ap(val, tmp_path / 'r.segm.json'),
                                                     abs=1e-6)
    # tiles without being asked, and by name
    model = build_model(work, device='cpu')
    for tile in (None, 'auto'):
        stream = open_stream(model, Settings(tile=tile, score_thr=0))
        assert stream.side == trained_side(model.cfg) < 320
    picture = str(tmp_path / 'val' / '1.png')
    with warnings.catch_warnings():
        warnings.filterwarnings('error', '.*crops')
        result, = stream.run(open_source(picture))
        assert result.size == (500, 500)
        # the demo draws what is found in tiles
        capsys.readouterr()
        demo([picture, str(work / 'plan' / 'planned.py'), model.checkpoint, '--out',
              str(tmp_path / 'drawn'), '--score-thr', '0', '--device', 'cpu'])
    assert f'{len(result.scores)} instance' in capsys.readouterr().out
    # mmdet's own ways take the whole picture, and say so once
    WarnOfWholePictures.said = False
    with pytest.warns(UserWarning, match='crops of .* px, and a picture of 500 px is reduced'):
        inference_detector(model, picture)
    with warnings.catch_warnings():
        warnings.filterwarnings('error', '.*crops')
        inference_detector(model, picture)


@pytest.mark.parametrize('a_picture, left, expected', [
    (0.1, 50., 6), (4., 100., 5), (20., 50., 1), (0.1, -3., 1)])
def test_so_many_images_are_judged(a_picture, left, expected):
    found = auto.images_to_judge(np.full(6, a_picture), np.ones(6, int), left)
    assert len(found) == expected and sorted(set(found.tolist())) == found.tolist()


def test_an_image_with_objects_is_judged_within_the_time():
    seconds, counts = np.array([9., 1., 1., 1., 4., 2.]), np.array([3, 0, 0, 0, 5, 7])
    for seed in range(20):
        found = auto.images_to_judge(seconds, counts, 15., seed)  # three seconds
        assert counts[found].any() and seconds[found].sum() <= 9 + 2
        assert auto.images_to_judge(seconds, counts, 0., seed).tolist() == [5]


def test_of_many_images_a_part_is_judged(tmp_path):
    cfg = Config(dict(val_dataloader=dict(dataset=dict(ann_file='all.json')),
                      val_evaluator=dict(ann_file='all.json')))
    cfg.test_dataloader = cfg.val_dataloader
    path = write(tmp_path, coco([[], *[spread(2, 10, 64)] * 5], size=(64, 64)))
    _, val = read_both(path, val=path)
    auto.judge_by_part(cfg, str(tmp_path))
    assert cfg.val_evaluator.ann_file == 'all.json'
    auto._write_part(val, [0, 3], str(tmp_path))
    auto.judge_by_part(cfg, str(tmp_path))
    part = json.loads(Path(cfg.val_evaluator.ann_file).read_text())
    assert len(part['images']) == 2 and len(part['annotations']) == 2
    assert cfg.val_dataloader.dataset.ann_file == cfg.val_evaluator.ann_file
    assert cfg.test_dataloader.dataset.ann_file == 'all.json'


def test_the_plan_says_it(tmp_path, capsys):
    train = write(tmp_path, coco([spread(20, 20, 1024, seed) for seed in range(2)],
                                 size=(1024, 1024)))
    out = tmp_path / 'mine.py'
    plan_main([train, '--no-cost', '--family', 'lordre', '--out', str(out)])
    assert 'crops keep their pixels' in capsys.readouterr().out
    cfg = load_config(str(out))
    assert (cfg.tile, cfg.scale) == (320, (320, 320)) and cfg.val_dataloader is None


def test_the_fullest_picture_may_be_one_of_validation(tmp_path):
    train, val = (read_objects(data, write(tmp_path / str(seed), data), str(tmp_path / str(seed)))
                  for seed, count in enumerate((20, 130))
                  for data in [coco([spread(count, 20, 1024, seed)], size=(1024, 1024))])
    plan = make_plan(train, val, families=['lordre'], measured=False, pretrained='none')
    for evaluator in ('val_evaluator', 'test_evaluator'):
        assert config_of(plan.configs['lordre'])[evaluator].max_dets == (10, 100, 130)


def test_of_crowded_pictures_all_detections_count():
    whole = objects([spread(150, 20, 1024)], size=(1024, 1024))
    for most, expected in ((100, None), (150, (10, 100, 150))):
        cfg = config_of(config_text(fit(cut(whole, 320), Looks(), 'lordre', longer=320, tile=320,
                                        most=most), ('a.json', 'a'), ('b.json', 'b')))
        assert cfg.test_evaluator.get('max_dets') == expected


def test_rare_classes_are_those_of_few_whole_pictures(tmp_path):
    """What is drawn more often are pictures, not the tiles of them."""
    pictures = [spread(40, 20, 1024, seed) for seed in range(30)]
    pictures[0] = [*pictures[0][1:], (pictures[0][0][0], 1)]
    data = coco(pictures, ('often', 'rare'), size=(1024, 1024))
    train = read_objects(data, write(tmp_path, data, draw=False), str(tmp_path))
    one = make_plan(train, families=['lordre'], measured=False, ceilings=False,
                    pretrained='none').fits['lordre']
    assert one.tile and one.oversampling == 0.1
