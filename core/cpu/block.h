// Elementwise work in blocks of fixed size.
//
// A tail is computed in a padded block by the same vector code as everything else, so an element's bits
// depend neither on where it lies in memory nor on how many others there are.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "core/cpu/parallel.h"

namespace dalle1::cpu {

constexpr int kBlock = 64;
constexpr int64_t kGrain = 16384;  // elements per thread below which threads cost more than they give
using Block = Eigen::Array<float, kBlock, 1>;

inline void load(const float* x, int64_t n, Block& block, float padding = 0.0f) {
  if (n >= kBlock) {
    std::memcpy(block.data(), x, sizeof(float) * kBlock);
  } else {
    block.setConstant(padding);
    std::memcpy(block.data(), x, sizeof(float) * n);
  }
}

inline void store(const Block& block, int64_t n, float* y) {
  std::memcpy(y, block.data(), sizeof(float) * std::min<int64_t>(n, kBlock));
}

/// Of n numbers, at least one.
inline float largest_of(const float* x, int64_t n) {
  Block a, best = Block::Constant(x[0]);
  for (int64_t i = 0; i < n; i += kBlock) {
    load(x + i, n - i, a, x[0]);
    best = best.max(a);
  }
  return best.maxCoeff();
}

/// y[i] = function(x[i]) over blocks.
template <typename Function>
void map_blocks(int threads, const float* x, float* y, int64_t n, const Function& function) {
  const int64_t blocks = (n + kBlock - 1) / kBlock;
  parallel_for(threads, blocks, kGrain / kBlock, [&](int64_t begin, int64_t end) {
    Block a;
    for (int64_t i = begin * kBlock; i < std::min(n, end * kBlock); i += kBlock) {
      load(x + i, n - i, a);
      const Block result = function(a);
      store(result, n - i, y + i);
    }
  });
}

/// y[i] = function(a[i], b[i]) over blocks.
template <typename Function>
void map_blocks(int threads, const float* x1, const float* x2, float* y, int64_t n,
                const Function& function) {
  const int64_t blocks = (n + kBlock - 1) / kBlock;
  parallel_for(threads, blocks, kGrain / kBlock, [&](int64_t begin, int64_t end) {
    Block a, b;
    for (int64_t i = begin * kBlock; i < std::min(n, end * kBlock); i += kBlock) {
      load(x1 + i, n - i, a);
      load(x2 + i, n - i, b, 1.0f);
      const Block result = function(a, b);
      store(result, n - i, y + i);
    }
  });
}

}  // namespace dalle1::cpu
