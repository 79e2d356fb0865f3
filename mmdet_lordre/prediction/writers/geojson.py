"""GeoJSON: polygons with holes, on the map where the picture says where it is."""
import json

import numpy as np

from ...masks.outlines import ring_area
from ..georeference import georeference_of
from ..result import Result
from .base import Writer, write_whole
from .coco import track_entries


class GeoJSON(Writer):
    """``geojson/NAME.geojson``: a feature for each object.

    Coordinates are pixels, y downwards, or those of the raster where a GeoTIFF or a world file
    says them; its coordinate system is then named, as GIS programs read it.
    """

    name = 'geojson'
    draws_polygons = True

    def write(self, result: Result) -> None:
        place = georeference_of(result.path)
        features, names, areas = [], result.names, result.areas.tolist()
        tracks = track_entries(result)
        for i in range(len(result)):
            parts = [[self._ring(part.exterior, place, result.size, 1)]
                     + [self._ring(hole, place, result.size, -1) for hole in part.holes]
                     for part in result.outlines(i, self.context.simplify)]
            if not parts:
                continue
            single = len(parts) == 1
            features.append(dict(
                type='Feature', id=i + 1,
                properties={'class': names[i], 'label': int(result.labels[i]),
                            'score': round(float(result.scores[i]), 6),
                            'area_px': areas[i], **tracks[i]},
                geometry=dict(type='Polygon' if single else 'MultiPolygon',
                              coordinates=parts[0] if single else parts)))
        content = dict(type='FeatureCollection', features=features)
        if place is not None and place.epsg is not None:
            content['crs'] = dict(type='name', properties=dict(
                name=f'urn:ogc:def:crs:EPSG::{place.epsg}'))
        write_whole(self.context.path('geojson', f'{result.name}.geojson'),
                    (json.dumps(content) + '\n').encode())

    def _ring(self, ring: np.ndarray, place, size, turn: int) -> list:
        """A closed ring; exteriors turn counterclockwise and holes clockwise, as RFC 7946 asks."""
        points = ring if place is None else place.apply(ring.astype(float), size)
        if np.sign(ring_area(points)) == -turn:
            points = points[::-1]
        points = points.tolist()
        return [*points, points[0]]
