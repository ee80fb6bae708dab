// How a model shows its parameters: once, by name, to whoever loads, saves, trains or counts them.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/tensor/tensor.h"

namespace dalle1 {

using ParameterVisitor = std::function<void(const std::string& name, Tensor& parameter)>;
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

/// A model or a part of one. Parameters are enumerated in a fixed order; names are those of the native
/// checkpoint.
class Module {
 public:
  virtual ~Module() = default;
  virtual void visit(const ParameterVisitor& visitor) = 0;
  /// To be called when the parameters are loaded, before the model draws or scores: makes what the device
  /// wants of the products' weights, which it then only reads. Filters of convolutions take a form for each
  /// size of picture, at its first.
  virtual void prepare() {}

  int64_t parameter_count() {
    int64_t count = 0;
    visit([&](const std::string&, Tensor& parameter) { count += parameter.numel(); });
    return count;
  }
};

}  // namespace dalle1
