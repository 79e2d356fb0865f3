"""``lordre plan``: from a file to a config that trains."""
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from mmdet_lordre.cli.main import one_line_errors
from mmdet_lordre.cli.plan import main
from mmdet_lordre.config.reading import load_config
from mmdet_lordre.planning import measuring
from mmdet_lordre.planning.cost import Cost, batches_of, build
from mmdet_lordre.planning.fit import FAMILIES
from mmdet_lordre.planning.objects import read_both
from mmdet_lordre.planning.plan import describe, make_plan

from .data import coco, square, write

PICTURE = [(square(4, 6, 20), 0), (square(36, 30, 24, 16), 1)]


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write(tmp_path_factory.mktemp('plan'), coco([PICTURE] * 5, ('a', 'b'), (64, 64)))


@pytest.fixture(scope='module')
def planned(data):
    """All that is measured, of all families."""
    return main([data, '--minutes', '0.5', '--val', data])


def test_it_says_what_it_found(planned, data, capsys):
    main([data, '--family', 'solov2', '--no-cost'])
    text = capsys.readouterr().out
    for part in ('5, all 64 x 64', 'ceilings', 'recommended  SOLOv2', '--out'):
        assert part in text
    assert set(planned.costs) == set(planned.ceilings) == set(planned.fits) == set(FAMILIES)
    assert all(cost.step > 0 and cost.params > 0 and cost.macs > 0
               for cost in planned.costs.values())
    assert all(ceiling.ap > 0.5 for ceiling in planned.ceilings.values())
    assert planned.best == planned.choices[0].family


@pytest.mark.parametrize('names', [('a', 'b'), ('a', )])
def test_a_class_without_objects_to_judge_on(data, tmp_path, capsys, names):
    """Whether it is listed or not."""
    val = write(tmp_path, coco([[(square(5, 7, 22), 0)]] * 2, names, (64, 64)), 'val.json')
    main([data, '--val', val, '--family', 'solov2', '--no-cost'])
    assert ('The validation images have nothing of 1 class that is learned (b): it is not '
            'measured.') in capsys.readouterr().out


def test_pages_that_are_not_read_are_said(tmp_path, capsys):
    given = coco([PICTURE] * 3, ('a', 'b'), (64, 64))
    path = write(tmp_path, given)
    with Image.open(tmp_path / '2.png') as picture:
        picture.load()
    picture.save(tmp_path / '2.tif', save_all=True, append_images=[picture, picture])
    given['images'][1]['file_name'] = '2.tif'
    Path(path).write_text(json.dumps(given))
    main([path, '--family', 'solov2', '--no-cost'])
    assert ('1 image with several pages or frames (image 2.tif: 3 pages or frames, only the first '
            'is read)') in capsys.readouterr().out


@pytest.mark.parametrize('steps, said', [(199, True), (200, False)])
def test_few_steps_are_said(planned, steps, said):
    best = planned.fits[planned.best].with_steps(steps)
    text = describe(replace(planned, fits={**planned.fits, planned.best: best}))
    assert (f'0.5 min hold {steps} steps only' in text) == said


@pytest.mark.parametrize('family', FAMILIES)
def test_every_config_trains_and_predicts(planned, family, tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(planned.configs[family])
    cfg = load_config(str(path))
    batch, = batches_of(cfg, 1)[0]
    model = build(cfg, 'cpu').train()
    fed = model.data_preprocessor(batch, True)
    total, _ = model.parse_losses(model.loss(fed['inputs'], fed['data_samples']))
    total.backward()
    assert torch.isfinite(total)
    names = [name for name, p in model.named_parameters() if p.grad is None]
    assert not names, names


def test_the_config_is_written_once(data, tmp_path, capsys):
    out = tmp_path / 'deeper' / 'mine.py'
    main([data, '--family', 'polarmask', '--no-cost', '--out', str(out)])
    said, before = capsys.readouterr().out, out.read_text()
    assert 'PolarMaskHead' in before and str(out) in said
    # without costs the minutes do not decide the steps
    assert 'steps        2000, whatever the minutes' in said
    assert '# nothing was measured: as many whatever the minutes\ntrain_cfg' in before
    # nothing to judge on was given, so tests would be of the training images
    assert 'no validation images were given' in before and '(--val)' in said
    with pytest.raises(SystemExit):
        one_line_errors(main)([data, '--family', 'solov2', '--no-cost', '--out', str(out)])
    assert out.read_text() == before
    assert 'already exists' in capsys.readouterr().err


def test_classes_in_another_order(data, tmp_path):
    other = coco([[(part, 1 - label) for part, label in PICTURE]], ('b', 'a'), (64, 64))
    plan = main([data, '--family', 'solov2', '--no-cost', '--val', write(tmp_path, other)])
    assert plan.card.val.labels.tolist() == [0, 1]


def test_crowds_may_be_taken_as_objects(tmp_path, capsys):
    data = coco([PICTURE] * 3, ('a', 'b'), (64, 64))
    for one in data['annotations']:
        one['iscrowd'] = 1
    path, out = write(tmp_path, data), str(tmp_path / 'mine.py')
    with pytest.raises(SystemExit):
        one_line_errors(main)([path, '--no-cost'])
    assert '--crowd-as-instances' in capsys.readouterr().err
    main([path, '--no-cost', '--family', 'lordre', '--crowd-as-instances', '--out', out])
    said = capsys.readouterr().out
    assert 'a 3, b 3' in said and f'lordre train {out} --crowd-as-instances' in said


def test_no_other_family_is_begun_when_the_time_is_over(data):
    train, _ = read_both(data, seconds=0)
    plan = make_plan(train, families=['lordre', 'solov2', 'polarmask'], measured=False, seconds=-1)
    assert list(plan.fits) == ['lordre'] == [choice.family for choice in plan.choices]
    said = describe(plan)
    assert 'not compared SOLOv2, PolarMask: planning would' in said and not plan.ceilings
    assert 'Lordre: the one that learns soonest' in said


def test_what_decided_is_said(data):
    plan = make_plan(read_both(data)[0], families=['solov2', 'polarmask', 'lordre'],
                     measured=False)
    assert [choice.expected for choice in plan.choices] == sorted(
        (choice.expected for choice in plan.choices), reverse=True)
    for choice, title in zip(plan.choices, ('recommended', 'runner-up')):
        ap = plan.ceilings[choice.family].ap
        assert (f'{title:<13}{FAMILIES[choice.family]}: its ceiling is {ap:.2f}, and '
                f'{choice.expected / ap:.2f} of that is thought to be learned in the time '
                f'({choice.expected:.2f}: to compare heads by, no forecast)'
                ) in describe(plan).splitlines()


def test_a_family_that_is_named_twice(data):
    plan = make_plan(read_both(data)[0], families=['lordre', 'lordre'], measured=False)
    assert list(plan.fits) == ['lordre'] and not plan.left_out and plan.ceilings


def test_a_smaller_size_has_weights_of_its_own(data, monkeypatch):
    asked = []

    def find(depth, base):
        asked.append((depth, base))
        return None, f'none of {depth}, {base}'
    monkeypatch.setattr('mmdet_lordre.planning.plan.find_pretrained', find)
    monkeypatch.setattr('mmdet_lordre.planning.plan.affordable', lambda one, *rest: (
        one, Cost(1., 0., 4096. if one.size == 'medium' else 100., False)))
    monkeypatch.setattr('mmdet_lordre.planning.plan.faster_layout', lambda one, cost, *rest: (
        one, cost))
    plan = make_plan(read_both(data)[0], families=['lordre'], minutes=6000, memory=1)
    assert plan.fits['lordre'].size == 'small' and len(set(asked)) == len(asked) == 2
    assert plan.fits['lordre'].why['weights'] == 'none of {}, {}'.format(*asked[1])


def test_a_memory_that_nothing_fits_into_is_said(data, capsys):
    main([data, '--family', 'solov2', '--size', 'nano', '--memory', '1e-6', '--minutes', '1'])
    assert 'MiB, more than --memory 1e-06 allows, with 1 image of' in capsys.readouterr().out


def test_ceilings_near_zero_are_said(tmp_path, capsys):
    """Wires of two pixels that cross a picture, at a size that they vanish at."""
    wires = [([[4 * i, 0, 4 * i + 1.5, 0, 300 + 4 * i, 400, 298.5 + 4 * i, 400]], 0)
             for i in range(20)]
    path = write(tmp_path, coco([wires] * 2, size=(400, 400)))
    train, _ = read_both(path, seconds=0)
    plan = make_plan(train, families=['solov2'], measured=False)
    plan.ceilings['solov2'] = replace(plan.ceilings['solov2'], ap=0.1)
    assert 'note         even without any error it would reach AP 0.10 at most' in describe(plan)
    plan.ceilings['solov2'] = replace(plan.ceilings['solov2'], ap=0.9)
    assert 'note  ' not in describe(plan)
    assert 'what counts is their width (median 1 px)' in plan.card.text()


@pytest.mark.parametrize('change, said', [
    (dict(longer=96), True), (dict(longer=128), False), (dict(longer=96, tile=64), False)])
def test_more_minutes_are_asked_for_where_images_can_be_larger(data, change, said):
    plan = make_plan(read_both(data)[0], families=['solov2'], measured=False)
    assert plan.fits['solov2'].longer == 128
    low = replace(plan.ceilings['solov2'], ap=0.1, lost=dict(coarse=0.9))
    one = replace(plan.fits['solov2'], **change)
    text = describe(replace(plan, ceilings=dict(solov2=low), fits=dict(solov2=one),
                            costs=dict(solov2=Cost(1., 0., 100., False))))
    assert low.of_size and ('more --minutes leave room for larger images' in text) == said


def test_classes_too_small_to_be_drawn_are_said(tmp_path):
    """Of two classes one measures 20 px of 128, the other 5 of 128."""
    path = write(tmp_path, coco([[(square(4, 4, 20), 0), (square(60, 60, 5), 1)]] * 8,
                                ('disk', 'dot')))
    plan = make_plan(read_both(path)[0], families=['lordre'], measured=False, ceilings=False)
    one = replace(plan.fits['lordre'], longer=128, tile=None)
    text = describe(replace(plan, fits=dict(lordre=one)))
    assert 'note         at 128 px half or more of the objects of dot (5.0 px) are too small to ' \
        'be found' in text
    for other in (replace(one, longer=160), replace(one, tile=64)):
        assert 'too small' not in describe(replace(plan, fits=dict(lordre=other)))


def test_the_batch_that_does_not_fit_is_said(data, monkeypatch):
    monkeypatch.setattr('mmdet_lordre.planning.plan.affordable', lambda one, *rest: (
        replace(one, batch_size=3), Cost(1., 0., 4096., False)))
    monkeypatch.setattr('mmdet_lordre.planning.plan.faster_layout', lambda one, cost, *rest: (
        one, cost))
    plan = make_plan(read_both(data)[0], families=['lordre'], size='nano', memory=1,
                     ceilings=False)
    assert plan.fits['lordre'].why['memory'].endswith('with 3 images of 128 px')


@pytest.mark.parametrize('change, said', [
    (lambda d: d['annotations'].clear(), 'has none'),
    (lambda d: [a.update(iscrowd=1) for a in d['annotations']], 'crowds'),
    (lambda d: [a.update(segmentation=[]) for a in d['annotations']], 'no masks'),
    (lambda d: d['images'].clear(), 'no images')])
def test_nothing_to_learn_is_one_line(change, said, tmp_path, capsys):
    content = coco([PICTURE], ('a', 'b'), (64, 64))
    path = write(tmp_path, content)
    change(content)
    with open(path, 'w') as file:
        json.dump(content, file)
    with pytest.raises(SystemExit):
        one_line_errors(main)([path])
    error = capsys.readouterr().err
    assert said in error and error.count('\n') == 1


def test_a_class_that_training_lacks(data, tmp_path, capsys):
    other = write(tmp_path, coco([PICTURE], ('a', 'c'), (64, 64)))
    with pytest.raises(SystemExit):
        one_line_errors(main)([data, '--val', other])
    assert "'c'" in capsys.readouterr().err


@pytest.mark.parametrize('picture, size', [
    ([(square(3, 3, 4), 0)], (30, 30)),                      # one tiny object in a tiny image
    ([(square(-50, -50, 400), 0)], (64, 64)),                # larger than the image
    ([(square(4000, 4000, 300), 0)], (10_000, 10_000))],     # a small one in a huge image
    ids=['30 px', 'larger than the image', '10,000 px'])
def test_one_image_of_one_object(picture, size, tmp_path, capsys):
    path = write(tmp_path, coco([picture], size=size), draw=size[0] < 1000)
    if size[0] > 1000:
        Image.new('1', size[::-1]).save(tmp_path / '1.png')
    plan = main([path, '--no-cost'])
    assert len(plan.choices) == 5
    assert 'Only 1 image' in capsys.readouterr().out


def test_one_object_in_several_images(tmp_path, capsys):
    main([write(tmp_path, coco([PICTURE[:1], [], []], size=(64, 64))), '--no-cost', '--family',
          'solov2'])
    said = capsys.readouterr().out
    assert '2 images without any' in said and 'Only 1 object: ' in said


def test_ten_thousand_classes(tmp_path, capsys):
    pictures = [[(square(4 + 9 * i, 6, 8), label) for i, label in enumerate((3, 500, 9999))]] * 2
    path = write(tmp_path, coco(pictures, [f'class {i}' for i in range(10_000)], (64, 64)))
    plan = main([path, '--no-cost', '--family', 'lordre'])
    assert plan.ceilings['lordre'].by_class.keys() <= {'class 3', 'class 500', 'class 9999'}
    said = capsys.readouterr().out
    assert len(said) < 5000 and 'recommended  Lordre' in said


def test_steps_are_measured_on_a_part_of_many_images(data, monkeypatch, tmp_path):
    train, _ = read_both(data)
    monkeypatch.setattr(measuring, '_PIXELS', 2 * 64 * 64)
    part = json.loads(Path(measuring.few_images(train, str(tmp_path))[0]).read_text())
    assert len(part['images']) == 2 and len(part['annotations']) == 4
    assert [c['name'] for c in part['categories']] == ['a', 'b']
    assert part['annotations'][1]['bbox'] == [36, 30, 24, 16]
    assert part['annotations'][1]['segmentation'] == [[36, 30, 60, 30, 60, 46, 36, 46]]


def test_what_cannot_be_learned_is_said_and_not_measured(tmp_path, capsys):
    content = coco([PICTURE] * 5, ('a', 'b'), (64, 64))
    path = write(tmp_path, content)
    content['annotations'][0]['segmentation'] = []      # a box
    content['images'][3].update(width=640)              # not the picture's
    (tmp_path / '2.png').unlink()
    (tmp_path / '3.png').write_bytes(b'no picture')
    Path(path).write_text(json.dumps(content))
    plan = main([path, '--family', 'solov2', '--minutes', '0.2', '--size', 'nano'])
    said = capsys.readouterr().out
    assert plan.costs['solov2'].step > 0 and len(plan.card.objects) == 3
    for part in ('training stops at 3 images', 'image missing on disk', '1 no mask'):
        assert part in said


@pytest.mark.parametrize('options, said', [
    (['--minutes', '0'], '--minutes'), (['--minutes', '-1'], '--minutes'),
    (['--minutes', 'nan'], '--minutes'), (['--memory', '0'], '--memory'),
    (['--family', 'yolo'], '--family'), (['--out', 'x.txt'], '.py'),
    (['--size', 'huge'], '--size')])
def test_options_out_of_range(data, options, said, capsys):
    with pytest.raises(SystemExit):
        one_line_errors(main)([data, *options])
    assert said in capsys.readouterr().err
