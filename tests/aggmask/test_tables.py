"""The flat numbering of cells: patches and kernels are what each level has at the cell."""
import pytest
import torch
import torch.nn.functional as F

from mmdet_lordre.aggmask.tables import CellTables

CLASS_GRIDS, MASK_GRIDS = (6, 4, 3), (5, 4, 2)


@pytest.mark.parametrize('kernel_size', [1, 3])
def test_patches_are_what_a_convolution_sees(kernel_size):
    torch.manual_seed(0)
    tables = CellTables(CLASS_GRIDS, MASK_GRIDS, 'plus', kernel_size)
    feats = [torch.randn(2, 8, grid, grid) for grid in CLASS_GRIDS]
    weight = torch.randn(7, 8, kernel_size, kernel_size)
    wanted = torch.cat([F.conv2d(f, weight, padding=kernel_size // 2).flatten(2)
                        for f in feats], 2)
    cells = torch.tensor([0, 5, 35, 36, 51, 52, 60])
    table = tables.flatten(feats)
    for image in range(2):
        ours = tables.gather_patches(table[image], cells) @ weight.flatten(1).t()
        torch.testing.assert_close(ours, wanted[image, :, cells].t(), rtol=1e-4, atol=1e-5)


class TestKernels:
    tables = CellTables(CLASS_GRIDS, MASK_GRIDS, 'plus', 1)
    # each kernel says where it is: level, row, column
    kernels = torch.cat([torch.stack(torch.broadcast_tensors(
        torch.tensor(float(level)), torch.arange(grid).view(-1, 1).float(),
        torch.arange(grid).float()), dim=-1).view(-1, 3)
        for level, grid in enumerate(MASK_GRIDS)])
    cells = torch.arange(sum(grid**2 for grid in CLASS_GRIDS))
    levels = torch.tensor([0] * 36 + [1] * 16 + [2] * 9)

    def test_neighbors(self):
        found = self.kernels[self.tables.neighbors]
        assert (found[..., 0] == self.levels[:, None]).all()
        assert (found[..., 1:] == self.tables.positions).all()

    def test_no_offset_reads_the_neighbors_exactly(self):
        sampled = self.tables.sample_kernels(self.kernels, self.cells,
                                             torch.zeros(len(self.cells), 5, 2))
        assert torch.equal(sampled, self.kernels[self.tables.neighbors])

    def test_offsets_read_between_and_stay_inside(self):
        offsets = torch.rand(len(self.cells), 5, 2) * 6 - 3
        sampled = self.tables.sample_kernels(self.kernels, self.cells, offsets)
        last = torch.tensor(MASK_GRIDS)[self.levels][:, None, None] - 1
        wanted = (self.tables.positions + offsets).clamp(min=0).minimum(last)
        assert (sampled[..., 0] == self.levels[:, None]).all()
        torch.testing.assert_close(sampled[..., 1:], wanted)

    def test_every_neighbor_has_a_gradient_from_the_start(self):
        kernels = torch.randn(len(self.kernels), 3)
        offsets = torch.zeros(len(self.cells), 5, 2, requires_grad=True)
        self.tables.sample_kernels(kernels, self.cells, offsets).sum().backward()
        assert (offsets.grad != 0).all()

    def test_a_grid_of_one_cell(self):
        tables = CellTables((3,), (1,), 'plus', 1)
        sampled = tables.sample_kernels(torch.ones(1, 2), torch.arange(9), torch.ones(9, 5, 2))
        assert (sampled == 1).all()


def test_nothing_is_stored():
    assert not CellTables(CLASS_GRIDS, MASK_GRIDS, 'plus', 1).state_dict()
