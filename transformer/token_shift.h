// Token shift (B. Peng 2021, as in DALLE-pytorch): before a residual branch some channels of a position give
// way to the same channels of its neighbours. In the text these are the first half, of the position before;
// in the picture the first quarter, of the cell above, and the second, of the cell to the left. Where there
// is no such neighbour they are zero.
#pragma once

#include "core/tensor/context.h"

namespace dalle1::transformer {

/// Of sequences x [B, T, C]: `text` positions and then the first cells of a grid of `grid` columns; T >=
/// text.
Tensor shift_tokens(Context& context, const Tensor& x, int32_t text, int32_t grid);

/// What the cells after those of x [1, T, C] take of them: the first half of the newest cell in each column,
/// [grid, C / 2], zeros where a column has none.
Tensor newest_cells(Context& context, const Tensor& x, int32_t text, int32_t grid);

/// Of the cell in `column` of N pictures, x [N, C], whose newest_cells() are `newest` [grid, N, C / 2]: this
/// cell is then the newest of its column.
Tensor shift_cell(Context& context, const Tensor& x, int32_t column, const Tensor& newest);

}  // namespace dalle1::transformer
