// How several requests share a CPU: their candidates share decoding steps, all else takes turns.
#pragma once

#include "rerank/device_turns.h"
#include "transformer/shared_decoder.h"

namespace dalle1::rerank {

struct StepSharing {
  /// `most_rows`: see SharedDecoder.
  explicit StepSharing(int64_t most_rows)
      : decoder(most_rows,
                [this](const std::function<void()>& step) { turns.take(DeviceTurns::steps, step); }) {}

  DeviceTurns turns;
  transformer::SharedDecoder decoder;
};

}  // namespace dalle1::rerank
