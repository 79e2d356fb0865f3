import math

import numpy as np
import pytest
import torch

from mmdet_lordre.grid import cell_targets

GRIDS = (40, 36, 24, 16, 12)
RANGES = ((1, 96), (48, 192), (96, 384), (192, 768), (384, 2048))


def f32(value):
    return np.float32(value)


def naive(boxes, labels, centers, areas, images, num_images, size, grids, ranges, classes,
          sigma=0.2, min_area=1, one_per_cell=False):
    """One ground truth and one cell after the other, in NumPy's float32."""
    height, width = size
    all_labels, pairs = [], []
    offset = 0
    for level, (grid, (lowest, highest)) in enumerate(zip(grids, ranges, strict=True)):
        found = []
        maps = np.full((num_images, grid, grid), classes)
        owner = {}
        for g, (box, center) in enumerate(zip(boxes, centers, strict=True)):
            w, h = f32(box[2] - box[0]), f32(box[3] - box[1])
            if not lowest <= np.sqrt(w * h) <= highest or areas[g] < max(1, min_area):
                continue
            spans = []
            for c, side, extent in ((center[1], h, height), (center[0], w, width)):
                half = f32(f32(0.5) * side) * f32(sigma)
                cell = f32(1 / grid)
                own = int(f32(f32(c) / f32(extent)) // cell)
                low = max(0, int(f32(f32(f32(c) - half) / f32(extent)) // cell))
                high = min(grid - 1, int(f32(f32(f32(c) + half) / f32(extent)) // cell))
                spans.append(range(max(own - 1, low), min(own + 1, high) + 1))
            for row in spans[0]:
                for column in spans[1]:
                    image = images[g]
                    maps[image, row, column] = labels[g]
                    cell = offset + (image * grid + row) * grid + column
                    found.append((level, g, cell))
                    owner[cell] = (level, g, cell)
        pairs += [owner[cell] for cell in sorted(owner)] if one_per_cell else found
        all_labels.append(maps.reshape(-1))
        offset += maps.size
    return np.concatenate(all_labels), pairs


def random_instances(count, num_images, size, seed):
    rng = np.random.default_rng(seed)
    height, width = size
    side = np.exp(rng.uniform(0, math.log(min(size)), (count, 2)))
    corner = rng.uniform(0, 1, (count, 2)) * (np.array([width, height]) - side)
    boxes = np.concatenate((corner, corner + side), 1).astype(np.float32)
    centers = (corner + side * rng.uniform(0.2, 0.8, (count, 2))).astype(np.float32)
    areas = rng.integers(0, 30, count)
    images = np.sort(rng.integers(0, num_images, count))
    return boxes, rng.integers(0, 80, count), centers, areas, images


def run(boxes, labels, centers, areas, images, num_images, size, grids, ranges, classes, **kwargs):
    tensors = (torch.as_tensor(part) for part in (boxes, labels, centers, areas, images))
    return cell_targets(*tensors, num_images, size, grids, ranges, classes, **kwargs)


@pytest.mark.parametrize('one_per_cell', [False, True])
@pytest.mark.parametrize('seed', range(4))
def test_equals_loops(seed, one_per_cell):
    size = [(256, 320), (800, 1344), (96, 64), (512, 512)][seed]
    data = random_instances(60, 3, size, seed)
    extra = dict(min_area=10, one_per_cell=one_per_cell)
    targets = run(*data, 3, size, GRIDS, RANGES, 80, **extra)
    labels, pairs = naive(*data, 3, size, GRIDS, RANGES, 80, **extra)
    assert pairs
    assert np.array_equal(targets.labels.numpy(), labels)
    levels, gts, cells = (list(part) for part in zip(*pairs, strict=True))
    assert targets.levels.tolist() == levels
    assert targets.gts.tolist() == gts
    assert targets.cells.tolist() == cells
    assert np.array_equal(targets.images.numpy(), data[4][gts])
    for level, image, position, cell in zip(levels, targets.images.tolist(),
                                            targets.positions.tolist(), cells, strict=True):
        start = sum(3 * grid**2 for grid in GRIDS[:level])
        assert cell == start + image * GRIDS[level]**2 + position


def test_one_instance_worked_by_hand():
    # 40 x 40 box on a 100 x 100 image of 10 x 10 cells: region 46..54 lies in cells 4 and 5
    targets = run([[30., 30, 70, 70]], [3], np.float32([[50, 50]]), [900], [0], 1, (100, 100),
                  [10], [(1, 96)], 7)
    assert targets.positions.tolist() == [44, 45, 54, 55]
    expected = torch.full((100,), 7)
    expected[[44, 45, 54, 55]] = 3
    assert torch.equal(targets.labels, expected)


def test_boundary_follows_the_floor_of_the_rounded_cell():
    # 1/8 // 1/40: the float32 of 1/40 lies above 1/40, so it fits 4 times, not 5
    data = ([[94., 94, 106, 106]], [0], np.float32([[100, 100]]), [9], [0])
    targets = run(*data, 1, (800, 800), [40], [(1, 96)], 1, pos_scale=0.0)
    assert targets.positions.tolist() == [4 * 40 + 4]


def test_region_stops_one_cell_from_the_center_and_at_the_border():
    data = ([[0., 0, 90, 90]], [0], np.float32([[2, 50]]), [9], [0])
    targets = run(*data, 1, (100, 100), [50], [(1, 96)], 1, pos_scale=1.0)
    assert targets.positions.tolist() == [row * 50 + column for row in (24, 25, 26)
                                          for column in (0, 1, 2)]


def test_later_ground_truth_wins_the_label_and_both_keep_their_pair():
    box = [40., 40, 60, 60]
    data = ([box, box], [1, 2], np.float32([[50.5, 50.5]] * 2), [9, 9], [0, 0])
    targets = run(*data, 1, (100, 100), [5], [(1, 96)], 3)
    assert targets.labels[12] == 2
    assert targets.gts.tolist() == [0, 1]
    single = run(*data, 1, (100, 100), [5], [(1, 96)], 3, one_per_cell=True)
    assert single.gts.tolist() == [1] and single.cells.tolist() == [12]


def test_range_ends_are_included():
    data = ([[0., 0, 96, 96]], [0], np.float32([[48, 48]]), [9], [0])
    targets = run(*data, 1, (128, 128), [4, 4, 4], [(1, 96), (96, 200), (97, 200)], 1)
    assert targets.levels.unique().tolist() == [0, 1]


def test_no_ground_truth():
    data = [torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), torch.zeros(0, 2),
            torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long)]
    for one_per_cell in (False, True):
        targets = cell_targets(*data, 2, (64, 64), GRIDS, RANGES, 5, one_per_cell=one_per_cell)
        assert targets.labels.eq(5).all() and len(targets.labels) == 2 * 3872
        assert len(targets.cells) == len(targets.images) == len(targets.positions) == 0


def test_wrong_input_is_refused():
    data = random_instances(2, 1, (64, 64), 0)
    with pytest.raises(ValueError, match='2 num_grids, but 1 scale_ranges'):
        run(*data, 1, (64, 64), [4, 3], [(1, 2)], 5)
    with pytest.raises(ValueError, match='1 labels'):
        run(data[0], data[1][:1], *data[2:], 1, (64, 64), [4], [(1, 2)], 5)
