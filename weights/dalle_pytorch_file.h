// A file of DALLE-pytorch: the arguments and tensors of its transformer, and the sizes that they tell.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "weights/import.h"

namespace dalle1::weights {

bool is_dalle_pytorch(const StateFile& file);

class DallePytorchFile {
 public:
  /// Error(model) where sizes are missing or contradict each other, and for attention that is not supported.
  explicit DallePytorchFile(const StateFile& file);

  const std::string& name() const { return file_.name; }
  const nlohmann::json& argument(const std::string& name, const nlohmann::json& fallback) const;
  bool flag(const std::string& name) const;

  /// Each counts as used. Error(model) when it is missing.
  const RawTensor& tensor(const std::string& name);
  /// Of layer `layer`, by the name without wrappers: "0.to_qkv.weight"; branch 0 is attention, 1 the MLP.
  const RawTensor& block_tensor(int64_t layer, const std::string& name);
  /// Error(model) where a tensor has fewer axes.
  int64_t extent(const RawTensor& tensor, size_t axis) const;
  /// Error(model) that names tensors that nobody asked for.
  void refuse_unused() const;

  bool rotary = false;             ///< Rotary positions in place of embeddings.
  bool sandwich = false;           ///< Norms behind the branches.
  bool reversible = false;         ///< Two residual streams.
  bool shares_embeddings = false;  ///< The embeddings are rows of the head.
  int64_t layers = 0, width = 0, heads = 0, head_size = 0, text = 0, grid = 0;
  int64_t text_classes = 0, classes = 0;  ///< Paddings of the text included.

 private:
  int64_t whole(const std::string& name, int64_t fallback) const;
  void measure();
  void measure_grid();
  void check_rotary();

  const StateFile& file_;
  TensorIndex index_;
  std::map<std::string, const RawTensor*> blocks_;
  std::set<const RawTensor*> used_;
};

}  // namespace dalle1::weights
