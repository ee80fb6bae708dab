#include "rerank/run_sink.h"

namespace dalle1::rerank {

void MemorySink::save_wave(const std::vector<ResultRow>& rows) {
  for (const auto& row : rows) tokens_[row.candidate] = row.tokens;
}

void MemorySink::picture(const ResultRow& row, const Image& picture, const std::vector<PngText>& texts) {
  pictures_.push_back({row, picture, texts});
}

}  // namespace dalle1::rerank
