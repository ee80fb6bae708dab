// What any readable checkpoint becomes: a JSON configuration and named tensors. Nothing here knows a model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/tensor/dtype.h"

namespace dalle1::weights {

/// A tensor as a file holds it: row-major, little-endian, not necessarily aligned. Copies share the bytes.
struct RawTensor {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> keep_alive;  ///< Owner of `bytes`: a mapped file, or a buffer.

  int64_t numel() const;
};

std::string shape_text(const std::vector<int64_t>& shape);  ///< "[64, 3, 7, 7]"

/// numel of `shape`; -1 when an extent is negative or the product does not fit 63 bits.
int64_t checked_numel(const std::vector<int64_t>& shape);

/// One part of a model: a dVAE, a transformer, a CLIP or a captioner.
struct Checkpoint {
  std::string part;    ///< "dvae", "transformer", "clip" or "captioner"; empty when the file does not say.
  std::string format;  ///< "native", "openai-dvae", "openai-clip", "rudalle", "rudalle-vqgan", ...
  std::string source;  ///< The file or files it came from.
  std::string note;  ///< What had to be taken for granted, where that could be wrong; one sentence or empty.
  nlohmann::json config;
  std::vector<RawTensor> tensors;  ///< In file order; names are unique and are those of the native format.

  const RawTensor* find(std::string_view name) const;
  /// Elements of all tensors; `.scale` companions of i8 tensors do not count.
  int64_t parameter_count() const;
  uint64_t byte_count() const;
};

/// Tensors by name. The vector must outlive the index.
class TensorIndex {
 public:
  explicit TensorIndex(const std::vector<RawTensor>& tensors);
  const RawTensor* find(std::string_view name) const;
  /// True for "NAME.scale" where NAME is an i8 tensor.
  bool is_scale_of_packed(const RawTensor& tensor) const;

 private:
  std::unordered_map<std::string_view, const RawTensor*> tensors_;
};

}  // namespace dalle1::weights
