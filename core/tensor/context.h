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
  bool training = false;  ///< Training-only noise (dropout) is on; products are training's, taped or not.

  Kernels& kernels() const { return device->kernels(); }
  /// The same context without a tape.
  Context untaped() const {
    Context copy = *this;
    copy.tape = nullptr;
    return copy;
  }
};

}  // namespace dalle1
