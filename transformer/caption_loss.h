// What captions cost: the training loss of a captioner, and the likelihood of texts.
#pragma once

#include <span>
#include <vector>

#include "transformer/captioner.h"

namespace dalle1::transformer {

/// Captions as a captioner reads and predicts them: row b reads bos, t_1 ... t_n and predicts t_1 ... t_n,
/// eos; S is the longest n + 1.
struct CaptionRows {
  Tensor inputs;                 ///< i64 [B, S], filled up with eos.
  std::vector<int64_t> targets;  ///< [B * S], filled up with eos.
  std::vector<int32_t> lengths;  ///< [B]: n + 1.

  int64_t slots() const { return inputs.dim(1); }
  int64_t target_count() const;  ///< Sum of lengths.
};

/// Ids of texts without bos and eos. One that is longer than text_slots - 1 is cut where `truncate`, else
/// Error(input); Error(model) for an id outside [0, text_vocab).
CaptionRows caption_rows(Device& device, const CaptionerConfig& config,
                         std::span<const std::vector<int32_t>> captions, bool truncate);

/// Mean cross entropy of all targets, in nats, as [1]; `vectors` [B, P, C] as of picture_vectors().
Tensor caption_loss(Context& context, const Captioner& model, const Tensor& vectors, const CaptionRows& rows);

/// Sum over row b's targets of log p(target | picture b, what comes before it), in nats: [B]. The bits of a
/// row depend neither on the other rows nor, beyond its own length, on S.
std::vector<double> log_likelihood(Context& context, const Captioner& model, const Tensor& vectors,
                                   const CaptionRows& rows);

}  // namespace dalle1::transformer
