"""What conversion refuses, and what it says about what it accepts."""
import pytest
import torch

from mmdet_lordre.checkpoints import ConversionError, convert_state_dict, find_format
from mmdet_lordre.checkpoints.convert import COCO_CLASSES
from mmdet_lordre.checkpoints.rules import Rule, apply_rules

HEAD = 'decoder.inst_branch.cls_score.weight'


def tensors(*names, rows=2):
    return {name: torch.arange(rows, dtype=torch.float32) for name in names}


def test_unknown_names_are_all_listed():
    state = tensors(HEAD, 'decoder.inst_branch.iam_conv.weights', 'decoder.extra')
    with pytest.raises(ConversionError) as error:
        convert_state_dict(state)
    assert 'no place for 2 of 3 names' in str(error.value)
    assert 'decoder.inst_branch.iam_conv.weights' in str(error.value)
    assert 'decoder.extra' in str(error.value)
    assert '\n' not in str(error.value)


def test_a_name_that_only_begins_right_has_no_place():
    with pytest.raises(ConversionError, match='no place for 1'):
        convert_state_dict(tensors(HEAD + '_orig') | tensors(HEAD))


@pytest.mark.parametrize('names, format', [
    ([HEAD], 'sparseinst'), (['encoder.fpn_laterals.0.weight'], 'sparseinst'),
    (['bbox_head.solo_cate.weight'], 'solo'),
    (['bbox_head.solo_cate.weight', 'bbox_head.learned_weights.bias'], 'aggmask'),
    (['bbox_head.polar_cls.bias'], 'polarmask'), (['mask_head.conv_cls.weight'], 'mmdet'),
    (['conv1.weight', 'fc.weight'], 'imagenet'), (['res2_0_branch2a_w'], 'imagenet')])
def test_the_format_is_told_from_the_names(names, format):
    assert find_format(names) == format


def test_two_formats_or_none_are_refused():
    with pytest.raises(ConversionError, match='polarmask and sparseinst'):
        find_format([HEAD, 'bbox_head.polar_cls.bias'])
    with pytest.raises(ConversionError, match=r'no known format.*bbox_head\.fcos_cls'):
        find_format(['bbox_head.fcos_cls.weight'])
    with pytest.raises(ConversionError, match='no known layout'):
        find_format(['features.0.weight'])
    with pytest.raises(ConversionError, match="no format 'yolo'; known: auto, imagenet"):
        convert_state_dict(tensors(HEAD), 'yolo')


def test_a_backbone_of_two_layouts_is_refused():
    state = tensors(HEAD, 'backbone.conv1.weight', 'backbone.stem.conv1.weight')
    with pytest.raises(ConversionError, match='mixes the layouts detectron2 and torchvision'):
        convert_state_dict(state)


def test_settings_of_the_preprocessor_are_dropped_and_said():
    result = convert_state_dict(tensors(HEAD, 'pixel_mean', 'pixel_std'))
    assert set(result.dropped) == {'pixel_mean', 'pixel_std'}
    assert 'pixel_mean: a setting of data_preprocessor' in result.summary()
    assert 'placed   1 published tensors as 1' in result.summary()


def test_half_of_a_concatenation_is_refused():
    with pytest.raises(ConversionError, match=r'only patch_embed1|only block1\.0\.attn\.q'):
        convert_state_dict(tensors('patch_embed1.proj.weight', 'block1.0.attn.q.weight'))


def test_query_comes_before_key_and_value():
    state = {'patch_embed1.proj.bias': torch.zeros(2), 'patch_embed1.proj.weight': torch.zeros(2),
             'block1.0.attn.kv.bias': torch.tensor([3., 4., 5., 6.]),
             'block1.0.attn.q.bias': torch.tensor([1., 2.])}
    result = convert_state_dict(state)
    assert result.state['layers.0.1.0.attn.attn.in_proj_bias'].tolist() == [1, 2, 3, 4, 5, 6]


def test_two_names_for_one_place_are_refused():
    rules = [Rule(r'(?:a|b)', 'same')]
    with pytest.raises(ConversionError, match='a and b are both same'):
        apply_rules(tensors('a', 'b'), rules, 'test')


def test_both_names_of_a_deformable_offset_have_a_place():
    for name in ('conv2_offset', 'conv2.conv_offset', 'conv2.conv_offset_mask'):
        result = convert_state_dict(tensors('conv1.weight', f'layer3.1.{name}.bias'))
        assert 'layer3.1.conv2.conv_offset.bias' in result.state


class TestClasses:
    COCO_1X = tuple(name.replace(' ', '_') for name in COCO_CLASSES)

    def convert(self, rows, **meta):
        return convert_state_dict({'bbox_head.polar_cls.weight': torch.zeros(rows, 1)}, meta=meta)

    def test_coco_is_meant_by_eighty(self):
        assert self.convert(80).classes == COCO_CLASSES

    def test_names_of_old_versions_are_brought_up_to_date(self):
        assert self.convert(80, CLASSES=self.COCO_1X).classes == COCO_CLASSES
        assert self.convert(80, dataset_meta=dict(classes=COCO_CLASSES)).classes == COCO_CLASSES

    def test_another_order_is_kept_and_said(self):
        result = self.convert(80, CLASSES=self.COCO_1X[::-1])
        assert result.classes == self.COCO_1X[::-1]
        assert 'another order' in result.summary()

    def test_own_classes_are_kept(self):
        assert self.convert(2, CLASSES=('fig', 'date')).classes == ('fig', 'date')
        assert self.convert(1, CLASSES='fig').classes == ('fig', )

    def test_a_wrong_count_is_refused(self):
        with pytest.raises(ConversionError, match='names 2 classes, but its classifier has 80'):
            self.convert(80, CLASSES=('fig', 'date'))

    def test_unknown_classes_are_said(self):
        result = self.convert(7)
        assert result.classes is None
        assert '7 classes and the file does not name them' in result.summary()
