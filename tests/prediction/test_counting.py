"""What is counted at lines and in zones."""
import csv
import json

import numpy as np
import pytest

from mmdet_lordre.errors import UserError
from mmdet_lordre.masks import RLEMasks
from mmdet_lordre.masks.runs import rle_of_crop
from mmdet_lordre.prediction.counting import Counting
from mmdet_lordre.prediction.result import Result

SIZE = 100, 100


def along(*ways, film='a'):
    """Results of squares of side 11 whose centers go along lists of (x, y); None is not seen."""
    results = []
    for number in range(max(map(len, ways))):
        seen = [(k, way[number]) for k, way in enumerate(ways, 1)
                if number < len(way) and way[number] is not None]
        masks = [rle_of_crop(np.ones((11, 11), np.uint8), y - 5, x - 5, SIZE)
                 for _, (x, y) in seen]
        results.append(Result(f'{number}', number, SIZE, RLEMasks(masks, SIZE),
                              np.ones(len(seen)), np.array([k % 2 for k, _ in seen], int),
                              ('cat', 'dog'), film=film, frame=number + 1, time=number / 10,
                              track_ids=np.array([k for k, _ in seen], int)))
    return results


def count(folder, results, lines=(), zones=()):
    """(rows of the table, counts.json, marks of the last frame)."""
    counting = Counting(lines, zones)
    marks = [result.marks for result in counting.follow(results, folder)]
    counting.write(folder)
    return (list(csv.DictReader((folder / 'counts.csv').open())),
            json.loads((folder / 'counts.json').read_text())['a'], marks[-1])


def test_a_line_and_its_directions(tmp_path):
    """A line downwards: its right is the left of the picture."""
    left = [(x, 50) for x in range(80, 10, -6)]
    right = left[::-1]
    rows, found, marks = count(tmp_path, along(left, right), [(48, 0, 48, 99)])
    line = found['lines'][0]
    assert line['in'] == dict(total=1, classes=dict(dog=1))
    assert line['out'] == dict(total=1, classes=dict(cat=1))
    assert [(row['track_id'], row['direction'], row['class']) for row in rows] == [
        ('1', 'in', 'dog'), ('2', 'out', 'cat')] and rows[0]['place'] == 'line 1'
    assert marks[0].text == 'in 1  out 1' and not marks[0].closed


def test_who_goes_around_a_line_is_not_counted(tmp_path):
    way = [(x, 80) for x in range(80, 10, -6)]
    assert not count(tmp_path, along(way), [(48, 0, 48, 60)])[0]


def test_who_trembles_on_a_line_is_counted_once(tmp_path):
    way = [(30, 50), (40, 50), (48, 50), (47, 50), (49, 50), (47, 50), (49, 50), (60, 50),
           (49, 50), (47, 50), (70, 50)]
    rows, _, _ = count(tmp_path, along(way), [(48, 0, 48, 99)])
    assert [row['direction'] for row in rows] == ['out']


def test_behind_something_on_the_line(tmp_path):
    way = [(20, 50), (30, 50), None, None, (70, 50), (80, 50)]
    rows, _, _ = count(tmp_path, along(way), [(48, 0, 48, 99)])
    assert len(rows) == 1 and rows[0]['frame'] == '5'


def test_a_zone(tmp_path):
    through = [(x, 50) for x in range(10, 95, 6)]
    stays = [(50, 50)] * 15
    rows, found, marks = count(tmp_path, along(through, stays), zones=[
        (30, 30, 70, 30, 70, 70, 30, 70)])
    zone = found['zones'][0]
    assert zone['in']['total'] == zone['out']['total'] == 1 and zone['most_at_once'] == 2
    assert [(row['place'], row['direction']) for row in rows] == [
        ('zone 1', 'in'), ('zone 1', 'out')]
    assert marks[0].text == '1 inside  in 1  out 1' and marks[0].closed


def test_films_are_counted_apart(tmp_path):
    way = [(x, 50) for x in range(80, 10, -6)]
    counting = Counting([(48, 0, 48, 99)])
    list(counting.follow([*along(way), *along(way, film='b')], tmp_path))
    counting.write(tmp_path)
    content = json.loads((tmp_path / 'counts.json').read_text())
    assert [content[film]['lines'][0]['in']['total'] for film in 'ab'] == [1, 1]


@pytest.mark.parametrize('lines, zones, said', [
    ([(1, 2, 3)], [], 'is x1,y1,x2,y2, in pixels, not 1,2,3'), ([(1, 2, 1, 2)], [], 'no length'),
    ([], [(1, 2, 3, 4)], 'x3,y3'), ([], [(0, 0, 1, 1, 2, 2)], 'no area'),
    ([(0, 0, float('nan'), 1)], [], 'in pixels')])
def test_lines_that_are_none(lines, zones, said):
    with pytest.raises(UserError, match=said):
        Counting(lines, zones)


def test_a_line_outside_of_the_film(tmp_path):
    with pytest.raises(UserError, match='line 1 to count at lies outside'):
        count(tmp_path, along([(50, 50)]), [(400, 0, 400, 99)])
