// A device that computes nothing and counts memory and operations: models that run on it tell what they would
// take. With transformer/estimate.h, which this device checks, the one place of such figures.
#pragma once

#include <memory>

#include "core/tensor/device.h"

namespace dalle1 {

class CountingDevice : public Device {
 public:
  /// Most bytes that the device would have had from the system at once: live tensors, what backends derive
  /// from weights, and blocks kept for reuse.
  virtual size_t footprint() const = 0;
  /// Of linear, matmul, convolutions and all kinds of attention since it was made: two for a multiplication
  /// with its addition. Of attention, of queries with keys and of weights with values, over the keys that
  /// each query sees; of convolutions, over all channels that tensors have in memory (on a CPU whole blocks).
  /// Gradients are not counted.
  virtual double operations() const = 0;
};

/// Allocates as `like` does: same sizes, same reuse, same layouts, same copies of weights. Addresses are
/// never read or written. Small tensors from the host read back as they were, all others as zeros.
std::shared_ptr<CountingDevice> make_counting_device(Device& like);

}  // namespace dalle1
