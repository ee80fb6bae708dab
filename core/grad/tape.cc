#include "core/grad/tape.h"

#include <algorithm>

#include "core/kernels/kernels.h"

namespace dalle1 {

void Tape::watch(const Tensor& leaf) { tracked_[leaf.id()] = true; }

bool Tape::tracks(uint64_t id) const { return tracked_.count(id) || (parent_ && parent_->tracks(id)); }
bool Tape::tracks(const Tensor& tensor) const { return tensor.defined() && tracks(tensor.id()); }

void Tape::record(const std::vector<Tensor>& inputs, const Tensor& output, Backward backward, bool always) {
  Node node;
  bool wanted = always;
  for (const Tensor& input : inputs) {
    const bool tracked = tracks(input);
    node.inputs.push_back(tracked ? input.id() : 0);
    wanted |= tracked;
  }
  if (!wanted) return;
  tracked_.emplace(output.id(), false);
  node.output = output.id();
  node.backward = std::move(backward);
  nodes_.push_back(std::move(node));
}

void Tape::accumulate(uint64_t id, const Tensor& gradient) {
  auto [entry, inserted] = gradients_.try_emplace(id, gradient);
  if (inserted) {
    owned_[id] = false;
    return;
  }
  Tensor& sum = entry->second;
  check(sum.shape() == gradient.shape(), ErrorKind::internal, "gradients of {} and {} for one tensor",
        sum.shape(), gradient.shape());
  if (!owned_[id]) {
    sum = sum.clone();
    owned_[id] = true;
  }
  if (sum.layout() == gradient.layout()) {
    sum.kernels().add_scaled(gradient, 1.0f, sum);
  } else {
    Tensor reordered = Tensor::empty(sum.device(), sum.shape(), sum.dtype(), sum.layout());
    sum.kernels().reorder(gradient, reordered);
    sum.kernels().add_scaled(reordered, 1.0f, sum);
  }
}

void Tape::backward(const Tensor& loss) {
  check(loss.numel() == 1, ErrorKind::internal, "backward from a tensor of {}; a loss has one element",
        loss.shape());
  Tensor one = Tensor::full(loss.device(), loss.shape(), 1.0f);
  backward(loss, one);
}

void Tape::backward(const Tensor& output, const Tensor& gradient) {
  accumulate(output.id(), gradient);
  while (!nodes_.empty()) {
    Node node = std::move(nodes_.back());
    nodes_.pop_back();
    auto found = gradients_.find(node.output);
    if (found == gradients_.end()) continue;  // the loss does not depend on this op
    Tensor dy = found->second;
    if (!tracked_[node.output]) {  // nothing reads it again
      gradients_.erase(found);
      owned_.erase(node.output);
    }
    std::vector<Tensor> input_gradients = node.backward(dy);
    check(input_gradients.size() == node.inputs.size(), ErrorKind::internal,
          "an op with {} inputs gave {} gradients", node.inputs.size(), input_gradients.size());
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] && input_gradients[i].defined()) accumulate(node.inputs[i], input_gradients[i]);
    }
  }
}

Tensor Tape::gradient(const Tensor& leaf) const {
  auto found = gradients_.find(leaf.id());
  return found == gradients_.end() ? Tensor() : found->second;
}

Tensor checkpoint(Context& context, const Tensor& input,
                  const std::function<Tensor(Context&, const Tensor&)>& function) {
  Context forward = context.untaped();
  Tensor output = function(forward, input);
  if (!context.tape) return output;
  Tape* tape = context.tape;
  auto backward = [context, input, function, tape](const Tensor& dy) {
    Tape nested(tape);
    Context again = context;
    again.tape = &nested;
    const Tensor leaf = input.detach();
    nested.watch(leaf);
    nested.backward(function(again, leaf), dy);
    for (const auto& [id, gradient] : nested.gradients()) {
      if (id != leaf.id()) tape->accumulate(id, gradient);
    }
    return std::vector<Tensor>{nested.gradient(leaf)};
  };
  // Recorded even when the input is not tracked: the output may hang on parameters alone.
  tape->record({input}, output, std::move(backward), /*always=*/true);
  return output;
}

}  // namespace dalle1
