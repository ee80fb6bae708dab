// What a forward pass runs in. Passed explicitly; there are no globals.
#pragma once

#include <cstdint>

#include "core/tensor/tensor.h"

namespace dalle1 {

class Tape;

/// A tape means training: ops record what their backward needs. No tape means inference: temporaries go back
/// to the device's pool as soon as the last handle goes.
struct Context {
  explicit Context(Device& device, Tape* tape = nullptr) : device(&device), tape(tape) {}

  Device* device;
  Tape* tape;
  uint64_t seed = 0;      ///< Key of every random stream (see core/random/philox.h).
  uint64_t step = 0;      ///< Training step: the draws of one step differ from the next.
  bool training = false;  ///< Dropout and other training-only noise is on.
  /// What f32 operands are multiplied in during training. On a GPU the activations between products have this
  /// type, too; on a CPU products round their operands, and all else is f32.
  DType compute = DType::f32;

  DType activations() const { return device->is_cpu() ? DType::f32 : compute; }
  Kernels& kernels() const { return device->kernels(); }
  /// The same context for what is to be multiplied in f32 in any training: similarities, codes, pixels.
  Context in_f32() const {
    Context copy = *this;
    copy.compute = DType::f32;
    return copy;
  }
  /// The same context without a tape.
  Context untaped() const {
    Context copy = *this;
    copy.tape = nullptr;
    return copy;
  }
};

}  // namespace dalle1
