// Curves derived from metrics.jsonl.
#pragma once

#include <filesystem>

namespace dalle1 {

/// One SVG with the losses and the other figures of the log over steps.
void write_metrics_curves(const std::filesystem::path& jsonl, const std::filesystem::path& svg);

}  // namespace dalle1
