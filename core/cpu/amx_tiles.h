// The eight tile registers of AMX: 16 rows of 64 bytes each.
//
// Only for files that are compiled for AMX, or for tests with a stand-in of these functions.
#pragma once

#include <immintrin.h>

#include <cstdint>

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
