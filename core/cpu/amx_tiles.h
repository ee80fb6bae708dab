// The eight tile registers of AMX: 16 rows of 64 bytes each. The instructions are macros, since a register's
// number is part of its instruction; tests on machines without AMX put plain code in their place.
//
// Only for files that are compiled for AMX.
#pragma once

#include <immintrin.h>

#include <cstdint>

#define DALLE1_TILE_ZERO(t) _tile_zero(t)
#define DALLE1_TILE_LOAD(t, from, stride) _tile_loadd(t, from, stride)
#define DALLE1_TILE_STORE(t, to, stride) _tile_stored(t, to, stride)
#define DALLE1_TILE_DOT_BF16(sums, rows, columns) _tile_dpbf16ps(sums, rows, columns)
/// Rows of unsigned bytes, columns of signed ones.
#define DALLE1_TILE_DOT_INT8(sums, rows, columns) _tile_dpbusd(sums, rows, columns)

namespace dalle1::cpu {
namespace {

/// The operand of ldtilecfg (Intel SDM 2, "TILECFG"): the rows and bytes a row of each register.
struct alignas(64) TileConfiguration {
  uint8_t palette = 1;
  uint8_t first_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// Not a local of the function: GCC 12 takes ldtilecfg to read eight bytes only and leaves out the others.
constexpr TileConfiguration whole_tiles;
inline void configure_tiles() { _tile_loadconfig(&whole_tiles); }
inline void release_tiles() { _tile_release(); }

}  // namespace
}  // namespace dalle1::cpu
