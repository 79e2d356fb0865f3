"""Data sets that hypothesis makes up: the rules name what is bad, and the rest is learned."""
import json
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mmdet_lordre.datasets.annotation_rules import (
    KEPT,
    STOP,
    annotation_problems,
    check_structure,
    cleaned,
)
from mmdet_lordre.datasets.doubts import annotated_twice, learned_objects, unusual_for_class
from mmdet_lordre.datasets.image_rules import image_file_problems, listed_image_problems
from mmdet_lordre.datasets.kept_rules import unusual_annotations
from mmdet_lordre.errors import UserError

from ..cli.tiny import IDS, NAMES
from .families import FAMILIES
from .test_hostile_data import build, predict, step

number = st.one_of(
    st.integers(-5, 45), st.floats(-5, 45, width=16),
    st.sampled_from([math.nan, math.inf, -math.inf, 1e9, -1e9, 1e300, 0, 0.5, None, '7', True]))
inside = st.one_of(st.integers(-3, 40), st.floats(-3, 40, width=16))
polygon = st.one_of(st.lists(inside, min_size=6, max_size=16), st.lists(number, max_size=9))
anything = st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
                        lambda inner: st.lists(inner, max_size=3), max_leaves=4)


@st.composite
def run_lengths(draw, width, height):
    """Right ones, and others."""
    total = width * height
    cuts = sorted(draw(st.lists(st.integers(0, total), max_size=6)))
    counts = np.diff([0, *cuts, total]).tolist()
    size = [height, width]
    kind = draw(st.sampled_from(['right', 'right', 'compressed', 'total', 'size', 'text', 'odd']))
    if kind == 'compressed':
        from pycocotools import mask as mask_api
        counts = mask_api.frPyObjects(dict(size=size, counts=counts), height, width)[
            'counts'].decode()
    elif kind == 'total':
        counts[0] += draw(st.integers(-total - 3, total + 3))
    elif kind == 'size':
        size = draw(st.lists(st.integers(-1, 50), max_size=3))
    elif kind == 'text':
        counts = draw(st.text(max_size=8))
    elif kind == 'odd':
        counts = draw(anything)
    return dict(size=size, counts=counts)


@st.composite
def datasets(draw):
    """(annotations, how each image is written) of one to three images."""
    images, files, annotations = [], [], []
    for index in range(draw(st.integers(1, 3))):
        width, height = draw(st.integers(1, 40)), draw(st.integers(1, 40))
        images.append(dict(id=draw(st.sampled_from([index + 1] * 9 + [1])), width=width,
                           height=height, file_name=f'{index} {draw(st.sampled_from("aü图"))}.png'))
        files.append(draw(st.sampled_from(['RGB', 'RGB', 'L', 'RGBA', 'gone', 'cut', 'other'])))
        for _ in range(draw(st.integers(0, 4))):
            box = [draw(inside), draw(inside), draw(st.integers(0, 40)), draw(st.integers(0, 40))]
            annotation = dict(
                id=draw(st.sampled_from([len(annotations) + 1] * 9 + [1])),
                image_id=draw(st.sampled_from([index + 1] * 9 + [77])),
                category_id=draw(st.sampled_from([*IDS] * 4 + [99])), bbox=box,
                area=draw(st.floats(0, 900)), iscrowd=draw(st.sampled_from([0, 0, 0, 1])),
                segmentation=draw(st.one_of(
                    st.lists(polygon, min_size=1, max_size=2), run_lengths(width, height))))
            if draw(st.integers(0, 5)) == 0:
                key = draw(st.sampled_from(['bbox', 'area', 'segmentation', 'iscrowd']))
                annotation[key] = draw(st.one_of(anything, st.lists(number, max_size=5)))
            annotations.append(annotation)
    return dict(images=images, annotations=annotations, categories=[
        dict(id=i, name=n) for i, n in zip(IDS, NAMES, strict=True)]), files


def write(folder, data, files):
    (folder / 'images').mkdir()
    for image, how in zip(data['images'], files, strict=True):
        path = folder / 'images' / image['file_name']
        size = image['width'] + (how == 'other'), image['height']
        if how != 'gone':
            mode = how if how in ('RGB', 'L', 'RGBA') else 'RGB'
            Image.new(mode, size).save(path)
        if how == 'cut':
            path.write_bytes(path.read_bytes()[:-20])


def examine(data, files, family):
    # as it comes from a file
    data = json.loads(json.dumps(data))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, data, files)
        try:
            check_structure(data, 'x.json')
        except UserError:
            return
        found = list(annotation_problems(data, need_masks=True))
        objects = learned_objects(data, found)
        problems = [*found, *unusual_annotations(data, found), *annotated_twice(data, objects),
                    *unusual_for_class(data, objects),
                    *listed_image_problems(data, thorough=True),
                    *image_file_problems(data, str(folder / 'images'), thorough=True)]
        assert all(str(p) for p in problems)
        quick = [*annotation_problems(data, need_masks=True), *listed_image_problems(data),
                 *image_file_problems(data, str(folder / 'images'))]
        stops = {(p.of_image, p.index) for p in problems if p.treatment == STOP}
        assert stops == {(p.of_image, p.index) for p in quick if p.treatment == STOP}
        left = cleaned(data, problems)
        assert not [p for p in annotation_problems(left, need_masks=True)
                    if p.treatment != KEPT]
        assert not [p for p in listed_image_problems(left) if p.treatment != KEPT]
        if not left['images']:
            return
        (folder / 'data.json').write_text(json.dumps(left))
        model, train_data, test_data = build(family, str(folder / 'data.json'))
        step(model, [train_data[i] for i in range(len(train_data))])
        predict(model, test_data[0])


QUIET = dict(deadline=None, database=None, derandomize=True,
             suppress_health_check=list(HealthCheck))


@pytest.mark.long
@settings(max_examples=12, **QUIET)
@given(datasets(), st.sampled_from(FAMILIES))
def test_a_few(dataset, family):
    examine(*dataset, family)


@pytest.mark.long
@pytest.mark.parametrize('family', FAMILIES)
def test_many(family):
    @settings(max_examples=300, **QUIET)
    @given(datasets())
    def run(dataset):
        examine(*dataset, family)
    run()
