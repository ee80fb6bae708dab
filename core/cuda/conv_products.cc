#include "core/cuda/conv_products.h"

#include <algorithm>

namespace dalle1::cuda {
namespace {

constexpr int64_t kPatchBytes = int64_t{256} << 20;

/// What a filter sees of some pictures: one row of `width` values for each pixel of the result.
struct Patches {
  int64_t in_height, in_width, channels, height, width, kernel_height, kernel_width, stride;

  Patches(const Tensor& x, const Tensor& filter, int64_t stride, const Tensor& y)
      : in_height(x.dim(2)),
        in_width(x.dim(3)),
        channels(x.dim(1)),
        height(y.dim(2)),
        width(y.dim(3)),
        kernel_height(filter.dim(1)),
        kernel_width(filter.dim(2)),
        stride(stride) {}

  int64_t pixels() const { return height * width; }
  int64_t row() const { return kernel_height * kernel_width * channels; }
  int64_t in_line() const { return in_width * channels; }
  int64_t in_picture() const { return in_height * in_line(); }
  /// Pictures whose patches are made at a time.
  int64_t at_once() const {
    return std::max<int64_t>(1, kPatchBytes / (pixels() * row() * static_cast<int64_t>(sizeof(float))));
  }

  Tensor of(const Tensor& x, int64_t first, int64_t count) const {
    Tensor patches = Tensor::empty(x.device(), {count * pixels(), row()}, x.dtype());
    Kernels::StridedCopy copy;
    copy.extents = {count, height, width, kernel_height, kernel_width * channels};
    copy.strides_x = {in_picture(), stride * in_line(), stride * channels, in_line(), 1};
    copy.strides_y = {pixels() * row(), width * row(), row(), kernel_width * channels, 1};
    copy.offset_x = first * in_picture();
    x.kernels().strided_copy(copy, x, patches);
    return patches;
  }

  /// Adds patches f32 to the pixels [count, H, W, C] f32 that they were seen at: one place of the filter
  /// after the other, for places of one place do not overlap.
  void add_back(const Tensor& patches, int64_t count, Tensor& sums) const {
    for (int64_t y = 0; y < kernel_height; ++y)
      for (int64_t x = 0; x < kernel_width; ++x) {
        Kernels::StridedCopy copy;
        copy.extents = {count, height, width, channels};
        copy.strides_x = {pixels() * row(), width * row(), row(), 1};
        copy.strides_y = {in_picture(), stride * in_line(), stride * channels, 1};
        copy.offset_x = (y * kernel_width + x) * channels;
        copy.offset_y = y * in_line() + x * channels;
        copy.accumulate = true;
        sums.kernels().strided_copy(copy, patches, sums);
      }
  }
};

// Pictures [first, first + count) of a channels_last tensor as rows [count H W, C] of the same memory.
Tensor pixel_rows(const Tensor& x, int64_t first, int64_t count) {
  const int64_t channels = x.dim(1), pixels = x.dim(2) * x.dim(3);
  char* begin = static_cast<char*>(x.raw()) + first * pixels * channels * size_of(x.dtype());
  return Tensor::wrap(x.device(), {count * pixels, channels}, x.dtype(), begin,
                      std::make_shared<const Tensor>(x));
}

Tensor as_matrix(const Tensor& filter) {
  return filter.view({filter.dim(0), filter.numel() / filter.dim(0)});
}

// Calls body(first, count) for pictures [0, batch) piece by piece.
template <typename Body>
void in_pieces(int64_t batch, int64_t at_once, const Body& body) {
  for (int64_t first = 0; first < batch; first += at_once) body(first, std::min(at_once, batch - first));
}

}  // namespace

void product_conv2d(const Tensor& x, const Tensor& filter, int stride, const Tensor& y) {
  const Patches patches(x, filter, stride, y);
  in_pieces(x.dim(0), patches.at_once(), [&](int64_t first, int64_t count) {
    Tensor rows = pixel_rows(y, first, count);
    y.kernels().matmul(patches.of(x, first, count), as_matrix(filter), {.transpose_b = true}, rows);
  });
}

void product_conv2d_data(const Tensor& dy, const Tensor& filter, int stride, const Tensor& dx) {
  const Patches patches(dx, filter, stride, dy);
  Kernels& kernels = dx.kernels();
  in_pieces(dx.dim(0), patches.at_once(), [&](int64_t first, int64_t count) {
    Tensor slopes = Tensor::empty(dx.device(), {count * patches.pixels(), patches.row()});
    kernels.matmul(pixel_rows(dy, first, count), as_matrix(filter), {}, slopes);
    Tensor sums = Tensor::zeros(dx.device(), {count * patches.in_picture()});
    patches.add_back(slopes, count, sums);
    Tensor rows = pixel_rows(dx, first, count);
    kernels.cast(sums.view(rows.shape()), rows);
  });
}

void product_conv2d_weights(const Tensor& x, const Tensor& dy, int stride, const Tensor& dfilter) {
  const Patches patches(x, dfilter, stride, dy);
  Tensor matrix = as_matrix(dfilter);
  in_pieces(x.dim(0), patches.at_once(), [&](int64_t first, int64_t count) {
    dfilter.kernels().matmul(pixel_rows(dy, first, count), patches.of(x, first, count),
                             {.transpose_a = true, .accumulate = first > 0}, matrix);
  });
}

}  // namespace dalle1::cuda
