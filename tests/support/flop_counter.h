// A CPU device that counts the products and the attention of what runs on it, and computes nothing.
#pragma once

#include <memory>

#include "core/tensor/device.h"

namespace dalle1::test {

class FlopCounter : public Device {
 public:
  /// Of linear, matmul and both kinds of attention since it was made: two for a multiplication with its
  /// addition; for attention, of queries with keys and of weights with values, over the keys that each query
  /// sees.
  virtual double flops() const = 0;
};

std::shared_ptr<FlopCounter> make_flop_counter();

}  // namespace dalle1::test
