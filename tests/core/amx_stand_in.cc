// The kernels for AMX with its instructions in plain code, for machines without it.
#include <cstdint>
#include <cstring>

#include "core/tensor/dtype.h"
#include "tests/core/dpbusd_stand_in.h"

namespace dalle1::cpu {
namespace {

constexpr int kRows = 16, kRowBytes = 64, kColumns = 16;
thread_local char tiles[8][kRows][kRowBytes];

void tile_load(int t, const void* from, int64_t stride) {
  for (int r = 0; r < kRows; ++r)
    std::memcpy(tiles[t][r], static_cast<const char*>(from) + r * stride, kRowBytes);
}
void tile_store(int t, void* to, int64_t stride) {
  for (int r = 0; r < kRows; ++r) std::memcpy(static_cast<char*>(to) + r * stride, tiles[t][r], kRowBytes);
}

// Adds to each sum the products of the `Count` numbers that 32 bits of a row and of a column hold.
template <typename Sum, typename RowNumber, typename ColumnNumber, int Count, typename Product>
void tile_dot(int sums, int rows, int columns, const Product& product) {
  for (int m = 0; m < kRows; ++m)
    for (int n = 0; n < kColumns; ++n) {
      Sum total;
      std::memcpy(&total, tiles[sums][m] + 4 * n, sizeof total);
      for (int k = 0; k < kRows; ++k) {
        RowNumber a[Count];
        ColumnNumber b[Count];
        std::memcpy(a, tiles[rows][m] + 4 * k, 4);
        std::memcpy(b, tiles[columns][k] + 4 * n, 4);
        for (int i = 0; i < Count; ++i) total += product(a[i], b[i]);
      }
      std::memcpy(tiles[sums][m] + 4 * n, &total, sizeof total);
    }
}
void tile_dot_bf16(int sums, int rows, int columns) {
  tile_dot<float, Bf16, Bf16, 2>(sums, rows, columns,
                                 [](Bf16 a, Bf16 b) { return bf16_to_f32(a.bits) * bf16_to_f32(b.bits); });
}
void tile_dot_int8(int sums, int rows, int columns) {
  tile_dot<int32_t, uint8_t, int8_t, 4>(sums, rows, columns,
                                        [](uint8_t a, int8_t b) { return int32_t{a} * b; });
}
inline void configure_tiles() {}
inline void release_tiles() { std::memset(tiles, 0xff, sizeof tiles); }

}  // namespace
}  // namespace dalle1::cpu

#define DALLE1_TILE_ZERO(t) std::memset(tiles[t], 0, sizeof tiles[t])
#define DALLE1_TILE_LOAD(t, from, stride) tile_load(t, from, stride)
#define DALLE1_TILE_STORE(t, to, stride) tile_store(t, to, stride)
#define DALLE1_TILE_DOT_BF16(sums, rows, columns) tile_dot_bf16(sums, rows, columns)
#define DALLE1_TILE_DOT_INT8(sums, rows, columns) tile_dot_int8(sums, rows, columns)
#include "core/cpu/bf16_amx.h"

namespace dalle1::cpu {
namespace {

inline void bf16_block(const Bf16Block& block) { multiply_bf16_tiles(block); }
inline void begin_bf16() { configure_tiles(); }
inline void end_bf16() { release_tiles(); }

}  // namespace
}  // namespace dalle1::cpu

#define DALLE1_INT8_FOURS 1
#define DALLE1_INT8_PANEL_LANES 2
#include "core/cpu/attention_bf16.h"
#include "core/cpu/int8_amx.h"

namespace dalle1::cpu {

extern const Bf16Kernels bf16_amx_stand_in;
extern const AttentionKernels attention_amx_stand_in;
extern const Int8LinearKernels int8_amx_stand_in;
const Bf16Kernels bf16_amx_stand_in = {pack_bf16_rows, pack_bf16_columns, configure_tiles, release_tiles,
                                       multiply_bf16_tiles};
const AttentionKernels attention_amx_stand_in = kernels;
const Int8LinearKernels int8_amx_stand_in = int8_amx_kernels;

}  // namespace dalle1::cpu
