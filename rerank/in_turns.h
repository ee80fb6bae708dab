// The parts of a pipeline on a device that others work on, too.
#pragma once

#include "rerank/candidate_source.h"
#include "rerank/device_turns.h"
#include "rerank/scorer.h"

namespace dalle1::rerank {

/// Decodes a few pictures a turn, so that others wait for no whole wave. After each turn `between` is called;
/// what it throws ends the decoding.
class DecoderInTurns final : public PictureDecoder {
 public:
  DecoderInTurns(PictureDecoder& decoder, DeviceTurns& turns, std::function<void()> between)
      : decoder_(decoder), turns_(turns), between_(std::move(between)) {}
  int picture_size() const override { return decoder_.picture_size(); }
  std::vector<Image> decode(std::span<const int32_t> tokens, int count) override;

 private:
  PictureDecoder& decoder_;
  DeviceTurns& turns_;
  std::function<void()> between_;
};

class ScorerInTurns final : public Scorer {
 public:
  ScorerInTurns(Scorer& scorer, DeviceTurns& turns) : scorer_(scorer), turns_(turns) {}
  std::vector<std::string> columns() const override { return scorer_.columns(); }
  bool reads_pictures() const override { return scorer_.reads_pictures(); }
  std::vector<double> score(const ScoringInput& input) override;

 private:
  Scorer& scorer_;
  DeviceTurns& turns_;
};

}  // namespace dalle1::rerank
