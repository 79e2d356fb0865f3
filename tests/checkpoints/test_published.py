"""``published://``: files of the authors by path, address and name, fetched whole or not at all."""
import hashlib
import io

import pytest
import torch
from mmdet.apis import DetInferencer
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from mmdet_lordre.checkpoints import ConversionError
from mmdet_lordre.checkpoints.convert import COCO_CLASSES
from mmdet_lordre.checkpoints.safe_load import read_checkpoint
from mmdet_lordre.errors import UserError
from mmdet_lordre.model_index import model_index
from tests.cli.tiny import write_config

from . import publish
from .server import serve

STATE = {'conv1.weight': torch.arange(6.).view(2, 3), 'fc.bias': torch.zeros(2)}


def saved(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def load(source):
    return CheckpointLoader.load_checkpoint(f'published://{source}', 'cpu', 'silent')


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Where downloads are kept."""
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    return tmp_path / 'hub' / 'checkpoints'


@pytest.fixture
def server(cache):
    with serve() as found:
        yield found


def refused(source, cache, *words):
    """The one line that a source is refused with; nothing stays in the cache."""
    with pytest.raises(ConversionError) as error:
        load(source)
    text = str(error.value)
    assert '\n' not in text and all(word in text for word in words), text
    assert not list(cache.glob('*')) and not list(cache.glob('.*'))
    return text


class TestAddress:
    def test_it_is_fetched_converted_and_kept(self, server, cache):
        content = saved(STATE)
        name = f'net-{hashlib.sha256(content).hexdigest()[:8]}.pth'
        server.files[name] = content
        for _ in range(2):
            state = load(f'{server.address}/{name}?download=true')['state_dict']
            assert list(state) == ['conv1.weight']
            assert torch.equal(state['conv1.weight'], STATE['conv1.weight'])
        assert server.asked == [name]
        assert [path.name for path in cache.iterdir()] == [name]
        assert (cache / name).read_bytes() == content

    def test_another_hash_than_the_name_says(self, server, cache):
        server.files['net-0123456789abcdef.pth'] = saved(STATE)
        refused(f'{server.address}/net-0123456789abcdef.pth', cache,
                'SHA-256', 'not with 0123456789abcdef', server.address)

    def test_a_download_that_ends_early(self, server, cache):
        content = saved(STATE)
        server.files['net.pth'], server.promised['net.pth'] = content, len(content) + 7
        refused(f'{server.address}/net.pth', cache, str(len(content) + 7), 'by hand')

    def test_it_is_whole_the_next_time(self, server, cache):
        content = saved(STATE)
        server.files['net.pth'], server.promised['net.pth'] = content, len(content) + 7
        refused(f'{server.address}/net.pth', cache)
        server.promised.clear()
        assert list(load(f'{server.address}/net.pth')['state_dict']) == ['conv1.weight']

    def test_a_page_in_place_of_the_file(self, server, cache):
        server.files['net.pth'] = b'<html>Too many people have viewed this file</html>'
        server.types['net.pth'] = 'text/html; charset=utf-8'
        refused(f'{server.address}/net.pth', cache, 'a web page instead of a file', 'by hand')

    def test_an_address_without_a_file(self, server, cache):
        refused(f'{server.address}/gone.pth', cache, 'the server answers 404 Not Found')

    def test_no_server(self, server, cache):
        address = server.address
        with serve() as other:
            address = other.address
        refused(f'{address}/net.pth', cache, address, 'refused')

    def test_something_else_than_a_checkpoint_says_where_it_lies(self, server, cache):
        server.files['net.pth'] = b'no checkpoint'
        with pytest.raises(ConversionError, match='delete it to try again') as error:
            load(f'{server.address}/net.pth')
        assert str(cache / 'net.pth') in str(error.value)

    def test_the_tools_say_it_in_one_line(self, server):
        with pytest.raises(UserError, match='the server answers 404'):
            read_checkpoint(f'published://{server.address}/gone.pth')


def test_a_page_of_google_drive_stands_for_its_file(monkeypatch, cache):
    from mmdet_lordre.checkpoints import download
    asked = []

    def copy(source, file, expected):
        asked.append(source)
        file.write(saved(STATE))

    monkeypatch.setattr(download, '_copy', copy)
    load('https://drive.google.com/file/d/1abc_D-ef/view?usp=sharing')
    assert asked[0].startswith('https://drive.usercontent.google.com/download?')
    assert asked[0].endswith('id=1abc_D-ef')
    assert [path.name for path in cache.iterdir()] == ['drive-1abc_D-ef.pth']


class TestName:
    @pytest.fixture
    def network(self, tmp_path):
        """A small model of ours, trained by nobody."""
        torch.manual_seed(0)
        init_default_scope('mmdet')
        model = MODELS.build(Config.fromfile(write_config(tmp_path / 'tiny.py')).model)
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.05)
        return model

    @pytest.fixture
    def known(self, tmp_path, monkeypatch, network, server):
        """The name of a model in the index, whose authors' file the server has."""
        state, _ = publish.publish(
            network.state_dict(), lambda name: publish.sparseinst(name, publish.detectron2))
        server.files['authors.pth'] = saved(dict(model=state))
        monkeypatch.setitem(model_index(), 'tiny_coco', {
            'Name': 'Tiny_coco', 'Config': str(tmp_path / 'tiny.py'),
            'Weights': 'published://Tiny_coco',
            'Metadata': {'Published Weights': f'{server.address}/authors.pth'}})
        return 'Tiny_coco'

    def test_an_inferencer_by_name_alone(self, known, network, monkeypatch):
        # mmengine reads the metafiles by itself
        monkeypatch.setattr('mmengine.infer.infer.BaseInferencer._get_models_from_metafile',
                            lambda folder: model_index().values())
        inferencer = DetInferencer(known, device='cpu', scope='mmdet_lordre', show_progress=False)
        own = network.state_dict()
        for name, value in inferencer.model.state_dict().items():
            assert torch.equal(value, own[name]), name
        assert inferencer.model.dataset_meta['classes'] == COCO_CLASSES
        picture = torch.randint(0, 256, (48, 64, 3), dtype=torch.uint8).numpy()
        found, = inferencer(picture, no_save_vis=True)['predictions']
        assert len(found['masks']) == len(found['scores']) > 0

    def test_the_file_of_another_model_is_refused(self, known, network, server):
        state, _ = publish.publish(
            network.state_dict(), lambda name: publish.sparseinst(name, publish.detectron2))
        state['decoder.inst_branch.fc.bias'] = torch.zeros(5)
        server.files['authors.pth'] = saved(dict(model=state))
        with pytest.raises(ConversionError, match=r'does not fit the model of Tiny_coco.*\(5,\)'):
            load('Tiny_coco')

    def test_nothing_is_published(self, cache):
        text = refused('lordre_r50_giam_amp_8xb8-270k_coco', cache, 'train it')
        assert 'lordre_r50_giam_amp_8xb8-270k_coco' in text

    def test_a_folder_is_published(self, cache):
        refused('polarmask_r101-caffe_fpn_gn-head_1x_coco', cache,
                'https://drive.google.com/drive/folders/', '4gpu/polar_768_1x_r101')

    def test_a_path_that_is_not_there(self, cache, tmp_path):
        refused(tmp_path / 'gone.pth', cache, 'no such file')
