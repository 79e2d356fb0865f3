"""The published target algorithm, written plainly: a loop over points and ray angles.

It states what the targets are; tests and ``benchmarks/polar.py`` compare against it.
"""
import cv2
import numpy as np
import torch


def contour_of(mask):
    """Largest contour (n, 2) of a uint8 mask."""
    contours, _ = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_NONE)
    return sorted(contours, key=cv2.contourArea, reverse=True)[0][:, 0, :]


def centroid_of(contour):
    """Shoelace centroid in Python integers, truncated."""
    area = x = y = 0
    points = [tuple(int(v) for v in point) for point in contour]
    for (x1, y1), (x0, y0) in zip(points, points[-1:] + points[:-1]):
        cross = x1 * y0 - y1 * x0
        area += cross
        x += cross * (x1 + x0)
        y += cross * (y1 + y0)
    if area == 0:
        return [sum(p[0] for p in points) // len(points), sum(p[1] for p in points) // len(points)]

    def truncate(a, b):
        quotient = abs(a) // abs(b)
        return quotient if (a < 0) == (b < 0) else -quotient

    return [truncate(x, 3 * area), truncate(y, 3 * area)]


def rays_of(point, contour, num_rays=36, wrap=False):
    """Ray lengths of one point, one angle after another."""
    offsets = torch.as_tensor(contour).float() - torch.as_tensor(point).float()
    x, y = offsets[:, 0], offsets[:, 1]
    angle = torch.atan2(x, y) * 180 / np.pi
    angle[angle < 0] += 360
    angle = angle.int()
    distance = torch.sqrt(x ** 2 + y ** 2)
    angle, order = torch.sort(angle)
    distance = distance[order]
    rays = []
    for start in range(0, 360, 360 // num_rays):
        for degree in (start, start + 1, start - 1, start + 2, start - 2, start + 3, start - 3):
            degree = degree % 360 if wrap else degree
            if degree in angle:
                rays.append(distance[angle == degree].max())
                break
        else:
            rays.append(torch.tensor(1e-6))
    return torch.stack(rays)


def image_targets(boxes, labels, masks, sizes, strides, ranges, num_classes, num_rays=36,
                  radius=1.5, wrap=False):
    """Targets of one image.

    Args:
        boxes, labels: tensors (N, 4), (N,).
        masks: uint8 (N, height, width).

    Returns:
        labels (P,), indices of the positive points (M,), rays (M, num_rays), boxes (M, 4).
    """
    contours = [contour_of(mask) for mask in masks]
    centroids = torch.tensor([centroid_of(contour) for contour in contours]).float()
    points, reach, low, high = [], [], [], []
    for (height, width), stride, (smallest, largest) in zip(sizes, strides, ranges):
        x = torch.arange(0, width * stride, stride) + stride // 2
        y = torch.arange(0, height * stride, stride) + stride // 2
        yy, xx = torch.meshgrid(y, x, indexing='ij')
        points.append(torch.stack((xx.reshape(-1), yy.reshape(-1)), dim=-1).float())
        count = height * width
        reach.append(torch.full((count,), radius * stride))
        low.append(torch.full((count,), float(smallest)))
        high.append(torch.full((count,), float(largest)))
    points, reach, low, high = (torch.cat(parts) for parts in (points, reach, low, high))
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    xs, ys = points[:, :1], points[:, 1:]
    sides = torch.stack((xs - boxes[:, 0], ys - boxes[:, 1], boxes[:, 2] - xs,
                         boxes[:, 3] - ys), dim=-1)
    near = ((xs - centroids[:, 0]).abs() < reach[:, None]) & (
        (ys - centroids[:, 1]).abs() < reach[:, None]) & (sides.min(-1)[0] > 0)
    largest = sides.max(-1)[0]
    fits = (largest >= low[:, None]) & (largest <= high[:, None])
    areas = areas.repeat(len(points), 1)
    areas[~(near & fits)] = float('inf')
    area, chosen = areas.min(dim=1)
    out = labels[chosen]
    out[area == float('inf')] = num_classes
    positives = (out != num_classes).nonzero().reshape(-1)
    rays = torch.zeros(len(positives), num_rays)
    for i, point in enumerate(positives):
        rays[i] = rays_of(points[point], contours[int(chosen[point])], num_rays, wrap)
    return out, positives, rays, boxes[chosen[positives]]
