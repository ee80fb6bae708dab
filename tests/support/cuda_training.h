// Some steps of training, to be compared between devices and types.
#pragma once

#include <functional>
#include <utility>

#include "core/grad/tape.h"
#include "core/train/optimizer.h"
#include "tests/support/cuda_check.h"

namespace dalle1::test {

struct Trained {
  std::vector<float> losses;
  std::vector<float> gradient;  ///< Of the first step, all trainable parameters one after the other.
};

/// `steps` updates. The gradient of every trainable parameter is there, and f32.
inline Trained trained(Device& device, Module& model, int steps, const std::function<Tensor(Context&)>& loss,
                       const std::function<bool(const std::string&)>& trainable) {
  Optimizer optimizer(model, {}, trainable);
  Trained result;
  for (int step = 0; step < steps; ++step) {
    Tape tape;
    optimizer.watch(tape);
    Context context(device, &tape);
    context.training = true;
    context.step = static_cast<uint64_t>(step);
    const Tensor value = loss(context);
    result.losses.push_back(value.item());
    tape.backward(value);
    model.visit([&](const std::string& name, Tensor& parameter) {
      if (step > 0 || !trainable(name)) return;
      CAPTURE(name);
      const Tensor gradient = tape.gradient(parameter);
      REQUIRE(gradient.defined());
      CHECK(gradient.dtype() == DType::f32);
      const auto values = gradient.to_floats();
      result.gradient.insert(result.gradient.end(), values.begin(), values.end());
    });
    optimizer.accumulate(tape);
    optimizer.step(3e-3f);
  }
  return result;
}

/// Largest relative differences from f32 that a training in bf16 may have.
struct Rounding {
  double losses, gradient;
};

/// `train(device, compute)` on a GPU against the CPU's: in f32 within 1e-4, in bf16 within `rounding`, with
/// other bits than in f32 and the same ones again.
inline void check_training_types(const Rounding& rounding,
                                 const std::function<Trained(Device&, DType)>& train) {
  const auto cpu = make_cpu_device(1), cuda = make_cuda_device(0);
  const Trained expected = train(*cpu, DType::f32), whole = train(*cuda, DType::f32),
                rounded = train(*cuda, DType::bf16);
  REQUIRE(expected.losses.back() < 0.95 * expected.losses.front());
  check_close("f32 losses", whole.losses, expected.losses, 1e-4);
  check_close("f32 gradient", whole.gradient, expected.gradient, 1e-4);
  check_close("bf16 losses", rounded.losses, expected.losses, rounding.losses);
  check_close("bf16 gradient", rounded.gradient, expected.gradient, rounding.gradient);
  CHECK(rounded.losses != whole.losses);
  CHECK(train(*cuda, DType::bf16).losses == rounded.losses);
}

}  // namespace dalle1::test
