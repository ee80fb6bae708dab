// Products of 16 x 16 x 16 as the tensor cores do them; the first lane of a warp does the work of all.
#pragma once

#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>

namespace nvcuda::wmma {

struct matrix_a {};
struct matrix_b {};
struct accumulator {};
struct row_major {};
struct col_major {};
enum layout_t { mem_row_major, mem_col_major };

template <typename Use, int m, int n, int k, typename T, typename Layout = void>
struct fragment {
  T values[m * n];
};

inline bool leads() { return cuda_emulation::lane() == 0; }
template <typename T>
void check_place(const T* place, unsigned stride) {
  if (reinterpret_cast<uintptr_t>(place) % 32 == 0 && stride * sizeof(T) % 16 == 0) return;
  std::fprintf(stderr, "a tensor-core fragment at %p with a stride of %u\n", static_cast<const void*>(place),
               stride);
  std::abort();
}

template <typename Use, typename T, typename Layout>
void load_matrix_sync(fragment<Use, 16, 16, 16, T, Layout>& f, const T* place, unsigned stride) {
  check_place(place, stride);
  for (int i = 0; leads() && i < 256; ++i) {
    const int row = i / 16, column = i % 16;
    f.values[i] =
        std::is_same_v<Layout, row_major> ? place[row * stride + column] : place[column * stride + row];
  }
}
inline void load_matrix_sync(fragment<accumulator, 16, 16, 16, float>& f, const float* place, unsigned stride,
                             layout_t) {
  check_place(place, stride);
  for (int i = 0; leads() && i < 256; ++i) f.values[i] = place[i / 16 * stride + i % 16];
}
inline void store_matrix_sync(float* place, const fragment<accumulator, 16, 16, 16, float>& f,
                              unsigned stride, layout_t) {
  check_place(place, stride);
  for (int i = 0; leads() && i < 256; ++i) place[i / 16 * stride + i % 16] = f.values[i];
}
inline void fill_fragment(fragment<accumulator, 16, 16, 16, float>& f, float value) {
  for (float& x : f.values) x = value;
}
template <typename T, typename LayoutA, typename LayoutB>
void mma_sync(fragment<accumulator, 16, 16, 16, float>& d,
              const fragment<matrix_a, 16, 16, 16, T, LayoutA>& a,
              const fragment<matrix_b, 16, 16, 16, T, LayoutB>& b,
              const fragment<accumulator, 16, 16, 16, float>& c) {
  for (int i = 0; leads() && i < 256; ++i) {
    float sum = c.values[i];
    for (int k = 0; k < 16; ++k)
      sum += static_cast<float>(a.values[i / 16 * 16 + k]) * static_cast<float>(b.values[k * 16 + i % 16]);
    d.values[i] = sum;
  }
}

}  // namespace nvcuda::wmma
