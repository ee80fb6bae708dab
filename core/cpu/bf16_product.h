// Products with operands rounded to bf16 and sums in f32: what training multiplies with on processors that
// have AVX512-BF16 or AMX.
//
// Operands are f32 in memory and are rounded (to nearest even) when they are put into tiles of 1 KiB: `rows`
// tiles of 16 rows times 32 of the depth, [row][k], and `columns` tiles of 16 columns times 32 of the depth,
// [k / 2][column][k % 2]. What is missing at the borders is zero. Each sum runs over the depth in one order,
// whatever the number of threads; the two instruction sets add in different orders.
#pragma once

#include <cstdint>

#include "core/cpu/isa.h"
#include "core/tensor/device.h"
#include "core/tensor/dtype.h"

namespace dalle1::cpu {

constexpr int bf16_tile = 16;        ///< Rows or columns of a tile.
constexpr int bf16_tile_depth = 32;  ///< Of the summed axis.
constexpr int bf16_tile_size = bf16_tile * bf16_tile_depth;

/// A matrix of which element (i, k), k along the depth, lies at data[i * stride + k * depth_stride]; one of
/// the strides is 1.
struct Bf16Source {
  const float* data = nullptr;
  int64_t stride = 0, depth_stride = 0;
};

/// c [32, 32] = begin + two row tiles times two column tiles, over `steps` steps of the depth.
struct Bf16Block {
  const Bf16* rows[2] = {};     ///< [steps] tiles each
  const Bf16* columns[2] = {};  ///< [steps] tiles each
  int64_t steps = 0;
  const float* begin = nullptr;  ///< Rows lie begin_stride apart, 0 for one row that all share; null: zeros.
  int64_t begin_stride = 0;
  float* c = nullptr;
  int64_t c_stride = 0;
};

struct Bf16Kernels {
  /// Fills one tile with `count` rows (or columns) and `depth` numbers of each from the source's first.
  void (*pack_rows)(const Bf16Source& source, int64_t count, int64_t depth, Bf16* tile);
  void (*pack_columns)(const Bf16Source& source, int64_t count, int64_t depth, Bf16* tile);
  /// Around the multiplications of a thread: AMX has state to set up and to release.
  void (*begin)();
  void (*end)();
  void (*multiply)(const Bf16Block& block);
};

extern const Bf16Kernels bf16_avx512bf16;
extern const Bf16Kernels bf16_amx;

/// The fastest that may be used, or null: this processor has no arithmetic of bf16.
const Bf16Kernels* bf16_kernels();

/// y [rows, columns] = a b^T + bias, where a is [rows, depth] and b [columns, depth]; y's rows lie `columns`
/// apart.
struct Bf16Product {
  Bf16Source a, b;
  int64_t rows = 0, columns = 0, depth = 0;
  const float* bias = nullptr;  ///< [columns] or null.
  bool accumulate = false;      ///< Adds to y; then without a bias.
  float* y = nullptr;
};
void multiply_bf16(const Bf16Kernels& kernels, const Bf16Product& product, Device& device, int threads);

}  // namespace dalle1::cpu
