// Reverse-mode differentiation: ops append one node each; backward() walks them in reverse.
#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "core/tensor/context.h"

namespace dalle1 {

class Tape {
 public:
  /// Gradients of the inputs, in their order, from the gradient of the output; undefined where none is
  /// wanted.
  using Backward = std::function<std::vector<Tensor>(const Tensor& output_gradient)>;

  /// `parent`, if given, answers tracks() for tensors from outside (activation checkpointing).
  explicit Tape(const Tape* parent = nullptr) : parent_(parent) {}

  /// Asks for the gradient of a leaf.
  void watch(const Tensor& leaf);
  /// Whether a gradient flows to this tensor: it is watched or was computed from something that is.
  bool tracks(const Tensor& tensor) const;

  /// Appends an op. Does nothing unless one of the inputs is tracked or `always` is set.
  void record(const std::vector<Tensor>& inputs, const Tensor& output, Backward backward,
              bool always = false);

  /// d(loss)/d(everything watched), for a loss of one element. Frees the recorded nodes as it goes.
  void backward(const Tensor& loss);
  /// The same from a given gradient of `output`.
  void backward(const Tensor& output, const Tensor& gradient);

  /// Gradient of a leaf after backward(); undefined when the loss does not depend on it.
  Tensor gradient(const Tensor& leaf) const;
  /// What backward() left: the gradients of leaves and of tensors of the parent tape.
  const std::unordered_map<uint64_t, Tensor>& gradients() const { return gradients_; }
  /// Adds to the gradient of a tensor.
  void accumulate(const Tensor& tensor, const Tensor& gradient) { accumulate(tensor.id(), gradient); }
  void accumulate(uint64_t id, const Tensor& gradient);

 private:
  struct Node {
    std::vector<uint64_t> inputs;  // 0: no gradient wanted
    uint64_t output = 0;
    Backward backward;
  };
  bool tracks(uint64_t id) const;

  const Tape* parent_;
  std::vector<Node> nodes_;
  std::unordered_map<uint64_t, bool> tracked_;  // true: a watched leaf, whose gradient is kept
  std::unordered_map<uint64_t, Tensor> gradients_;
  std::unordered_map<uint64_t, bool> owned_;  // the stored gradient is ours to add to in place
};

/// Activation checkpointing (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"): runs
/// `function` without recording and runs it again, recorded, in the backward pass. Random draws repeat, since
/// they are functions of (seed, step, stream), and where Context::training is set so does every bit.
/// `function` may use watched parameters of the tape freely.
Tensor checkpoint(Context& context, const Tensor& input,
                  const std::function<Tensor(Context&, const Tensor&)>& function);

}  // namespace dalle1
