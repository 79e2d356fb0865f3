"""Data as annotation tools write them: trained on, evaluated and tested, or refused in one line."""
import pytest

from mmdet_lordre.cli.check_dataset import main as check_dataset
from mmdet_lordre.cli.test import main as run_test
from mmdet_lordre.cli.train import main as train
from mmdet_lordre.errors import UserError

from .tiny import make_coco, read_json, write_config, write_json


def as_tools_write(data):
    """Text ids, names with the path of another machine, no boxes, no areas, crowds as text."""
    for image in data['images']:
        image.update(id=f'img-{image["id"]}', file_name=f'C:\\photos\\{image["file_name"]}')
    for category in data['categories']:
        category['id'] = f'cat-{category["id"]}'
    for annotation in data['annotations']:
        annotation.update(id=f'a{annotation["id"]}', image_id=f'img-{annotation["image_id"]}',
                          category_id=f'cat-{annotation["category_id"]}',
                          iscrowd=str(annotation['iscrowd']))
        del annotation['bbox'], annotation['area']


@pytest.fixture
def own(tmp_path):
    """Write a changed data set; returns the options that name it."""
    def make(change, val=True):
        options = []
        for seed, split in enumerate(('train', 'val')[:1 + val]):
            path = make_coco(tmp_path, split, f'{split}.json', count=6, seed=seed)
            data = read_json(path)
            change(data)
            write_json(path, data)
            options += [f'--{split}-ann', path]
        return [write_config(tmp_path / 'tiny.py'), *options, '--work-dir', f'{tmp_path}/work']
    return make


def figures_of(options, tmp_path, name, spoil=None):
    """Test a checkpoint on val.json, changed."""
    data = read_json(tmp_path / 'val.json')
    if spoil:
        spoil(data)
    path = write_json(tmp_path / f'{name}.json', data)
    return run_test([options[0], f'{tmp_path}/work/epoch_1.pth', '--ann', path, '--images',
                     f'{tmp_path}/val', '--work-dir', f'{tmp_path}/{name}'])


def test_the_same_is_learned_and_measured(own, tmp_path, capsys):
    """As from a file that COCO's own tools would have written."""
    options = own(lambda data: None)
    plain = train([*options, '--seed', '3'])
    weights = {k: v.clone() for k, v in plain.model.state_dict().items()}
    figures = figures_of(options, tmp_path, 'plain')
    other = figures_of(options, tmp_path, 'other', as_tools_write)
    assert figures == other and figures
    capsys.readouterr()
    runner = train([*own(as_tools_write)[:5], '--work-dir', f'{tmp_path}/again', '--seed', '3'])
    out = capsys.readouterr().out
    for said in ('numbered in their order', 'found under another name', 'boxes computed',
                 'read as 0 or 1', 'annotations in 6 images can be learned: '):
        assert said in out, said
    for key, value in runner.model.state_dict().items():
        assert bool((value == weights[key]).all()), key


def test_nothing_to_learn(own):
    def crowds(data):
        for annotation in data['annotations']:
            annotation['iscrowd'] = '1'
    with pytest.raises(UserError, match=r'0 of .* can be learned: .* --crowd-as-instances'):
        train(own(crowds))
    assert train([*own(crowds), '--crowd-as-instances']).iter == 2

    def boxes(data):
        for annotation in data['annotations']:
            annotation['segmentation'] = []
    with pytest.raises(UserError, match=r'0 of .* detectors of boxes'):
        train([*own(boxes), '--skip-bad', '--overwrite'])
    with pytest.raises(UserError, match='0 of 0 annotations'):
        train([*own(lambda data: data.update(annotations=[])), '--overwrite'])


def test_validation_data_without_masks_stop_before_the_training(own, tmp_path):
    options = own(lambda data: None)
    data = read_json(tmp_path / 'val.json')
    del data['annotations'][0]['segmentation']
    write_json(tmp_path / 'val.json', data)
    with pytest.raises(UserError, match=r'val\.json: annotation 1 .* has no segmentation'):
        train(options)


def test_images_alone_with_text_ids_under_any_name(own, tmp_path):
    """No empty list of annotations appears, which would be evaluated to nothing."""
    options = own(lambda data: None)
    train(options)

    def images_alone(data):
        as_tools_write(data)
        del data['annotations']
    data = read_json(tmp_path / 'val.json')
    images_alone(data)
    path = write_json(tmp_path / 'images.JSON', data)
    run_test([options[0], f'{tmp_path}/work/epoch_1.pth', '--ann', path, '--images',
              f'{tmp_path}/val', '--json-out', f'{tmp_path}/out'])
    assert {entry['image_id'] for entry in read_json(tmp_path / 'out.segm.json')} <= set(range(7))


def test_the_clean_copy_of_the_tool_is_repaired(own, tmp_path, capsys):
    own(as_tools_write)
    ann, clean = str(tmp_path / 'train.json'), str(tmp_path / 'clean.json')
    check_dataset([ann, f'{tmp_path}/train', '--clean', clean])
    assert 'numbered in their order' in capsys.readouterr().out
    check_dataset([clean, f'{tmp_path}/train'])
    assert 'repair' not in capsys.readouterr().out
    with pytest.raises(UserError, match='already exists'):
        check_dataset([ann, f'{tmp_path}/train', '--clean', clean])


def test_names_that_act_on_a_terminal(own, tmp_path, capsys):
    def names(data):
        data['categories'][0]['name'] = '\x1b[31mdot\x07'
        data['annotations'][0]['bbox'] = [5]
    options = own(names)
    train([*options, '--skip-bad'])
    figures_of(options, tmp_path, 'named')
    run_test([options[0], f'{tmp_path}/work/epoch_1.pth', '--ann', f'{tmp_path}/val.json',
              '--images', f'{tmp_path}/val', '--classwise'])
    with pytest.raises(SystemExit):
        check_dataset([f'{tmp_path}/train.json', f'{tmp_path}/train'])
    out, err = capsys.readouterr()
    assert '\\x1b[31mdot\\x07' in out and '\x1b' not in out + err and '\x07' not in out + err
