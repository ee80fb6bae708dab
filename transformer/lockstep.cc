#include "transformer/lockstep.h"

#include <algorithm>

#include "core/ops/embedding.h"
#include "core/ops/movement.h"

namespace dalle1::transformer {
namespace {

constexpr int64_t kUndrawn = -1;

/// The positions of several sequences, row after row: each attends for itself.
class JoinedSequence final : public Sequence {
 public:
  struct Part {
    Sequence* sequence;
    int64_t rows;
  };
  explicit JoinedSequence(std::vector<Part> parts) : parts_(std::move(parts)) {}

  Tensor attend(Context& context, int layer, const Tensor& qkv, DType compute) override {
    return of_each(context, qkv, [&](Sequence& sequence, const Tensor& rows) {
      return sequence.attend(context, layer, rows, compute);
    });
  }
  Tensor shift(Context& context, int branch, const Tensor& x) override {
    return of_each(context, x, [&](Sequence& sequence, const Tensor& rows) {
      return sequence.shift(context, branch, rows);
    });
  }

 private:
  template <typename Use>
  Tensor of_each(Context& context, const Tensor& x, const Use& use) {
    std::vector<Tensor> results;
    int64_t row = 0;
    for (const Part& part : parts_) {
      results.push_back(use(*part.sequence, x.rows(row, row + part.rows)));
      row += part.rows;
    }
    return ops::concat(context, results, 0);
  }

  std::vector<Part> parts_;
};

Tensor head_logits(Context& context, const Prompt& prompt, const Tensor& inputs,
                   const std::shared_ptr<Sequence>& sequence) {
  return prompt.head().forward(context, prompt.model().trunk(context, inputs, sequence), {}, DType::f32);
}

}  // namespace

Lockstep::Lockstep(const Prompt& prompt, std::span<const uint32_t> candidates)
    : prompt_(prompt),
      context_(prompt.model().device()),
      candidates_(static_cast<int64_t>(candidates.size())),
      groups_(static_cast<int64_t>(prompt.prefixes().size())),
      done_(prompt.prefilled()) {
  const Transformer& model = prompt.model();
  const TransformerConfig& config = model.config();
  const DecodeRequest& request = prompt.request();
  Device& device = model.device();
  const Segment grid = config.sequence(config.text_length).grid();
  const int64_t cells = grid.size();
  sampling_.rule = request.sampling.rule;
  sampling_.seed = request.sampling.seed;
  sampling_.cell = Tensor::from(device, {1}, std::vector<int64_t>{done_});
  sampling_.candidates = Tensor::empty(device, {candidates_}, DType::i32);
  device.copy_from_host(sampling_.candidates.raw(), candidates.data(), candidates.size_bytes());
  sampling_.forced = Tensor::from(device, {cells}, request.forced);
  sampling_.tokens =
      Tensor::from(device, {cells, candidates_}, std::vector<int64_t>(cells * candidates_, kUndrawn));
  sampling_.log_probs = Tensor::zeros(device, {cells, candidates_});
  sampling_.newest = Tensor::empty(device, {rows()}, DType::i64);
  places_ = model.places(context_, cells);
  if (config.rotary) rotations_ = model.rotations(config.text_length).rows(grid.begin, grid.end);
  std::vector<std::span<const LayerPrefix>> prefixes;
  for (const Prefix& prefix : prompt.prefixes()) prefixes.push_back(prefix.layers());
  sequence_ = std::make_shared<CachedSequence>(device, prompt.plans(), std::move(prefixes), candidates_,
                                               request.cache);
  repeats_ = !config.token_shift;  // which is told the column
  if (device.captures() && repeats_) sequence_->follow(sampling_.cell, grid.begin);
}

void Lockstep::first() {
  std::vector<Tensor> groups;
  for (const Prefix& prefix : prompt_.prefixes())
    groups.push_back(ops::broadcast(prefix.logits(), {candidates_, prefix.logits().dim(1)}));
  logits_ = groups.size() == 1 ? groups.front() : ops::concat(context_, groups, 0);
  sample();
}

// Of the pass that follows, and where it stands.
Tensor Lockstep::inputs() {
  const Tensor place = ops::embedding(context_, sampling_.cell, places_);
  if (rotations_.defined())
    sequence_->turn({ops::embedding(context_, sampling_.cell, rotations_.table), rotations_.values});
  return prompt_.model().embed_at(context_, sampling_.newest, place);
}

void Lockstep::pass() { take(head_logits(context_, prompt_, inputs(), sequence_)); }

void Lockstep::take(Tensor logits) {
  logits_ = std::move(logits);
  ops::advance(sampling_.cell);
  sample();
}

// The tokens of the cell that the device's counter names.
void Lockstep::sample() {
  const SamplingOptions& sampling = prompt_.request().sampling;
  const Tensor own = logits();
  const Tensor guided =
      sampling.guided() ? guide(own, logits_.rows(candidates_, 2 * candidates_), sampling.guidance) : own;
  ops::sample_cell(guided, own, sampling_);
}

void Lockstep::seek() {
  const TransformerConfig& config = prompt_.model().config();
  sequence_->seek(config.sequence(config.text_length).grid().begin + done_ - 1);
}

void Lockstep::step() {
  if (done_ == prompt_.prefilled()) {
    first();
  } else {
    seek();
    if (repeats_ && !graph_) graph_ = prompt_.model().device().capture([this] { pass(); });
    graph_ ? graph_->launch() : pass();
  }
  ++done_;
}

void Lockstep::append_to(Decoded& result) const {
  const std::vector<int64_t>& forced = prompt_.request().forced;
  const int32_t prefilled = prompt_.prefilled(), cells = prompt_.model().config().cells();
  const auto tokens = sampling_.tokens.to_ints();
  const auto log_probs = sampling_.log_probs.to_floats();
  for (int64_t n = 0; n < candidates_; ++n) {
    double sampled = 0, given = prompt_.prefixes().front().log_likelihood();
    result.tokens.insert(result.tokens.end(), forced.begin(), forced.begin() + prefilled);
    for (int32_t cell = prefilled; cell < result.cells; ++cell) {
      result.tokens.push_back(tokens[cell * candidates_ + n]);
      (forced[cell] == kUndrawn ? sampled : given) += log_probs[cell * candidates_ + n];
    }
    result.tokens.resize(
        result.tokens.size() + static_cast<size_t>(cells - std::max(result.cells, prefilled)), kUndrawn);
    result.log_likelihood.push_back(sampled);
    result.forced_log_likelihood.push_back(given);
  }
}

std::vector<int64_t> Lockstep::tokens(int32_t cells) const {
  const std::vector<int64_t>& forced = prompt_.request().forced;
  const auto rows = sampling_.tokens.rows(0, cells).to_ints();
  std::vector<int64_t> result;
  for (int64_t n = 0; n < candidates_; ++n) {
    const auto own = result.insert(result.end(), forced.begin(), forced.end());
    for (int32_t cell = prompt_.prefilled(); cell < cells; ++cell) own[cell] = rows[cell * candidates_ + n];
  }
  return result;
}

void step_together(std::span<Lockstep* const> group) {
  if (group.size() == 1) return group.front()->step();
  std::vector<Lockstep*> passing;
  std::vector<Tensor> inputs;
  std::vector<JoinedSequence::Part> parts;
  for (Lockstep* each : group) {
    if (each->done_ == each->prompt_.prefilled()) {
      each->step();
      continue;
    }
    each->seek();
    passing.push_back(each);
    inputs.push_back(each->inputs());
    parts.push_back({each->sequence_.get(), each->rows()});
  }
  if (passing.empty()) return;
  Context context(passing.front()->prompt_.model().device());
  const auto sequence = std::make_shared<JoinedSequence>(std::move(parts));
  const Tensor logits =
      head_logits(context, passing.front()->prompt_, ops::concat(context, inputs, 0), sequence);
  int64_t row = 0;
  for (Lockstep* each : passing) {
    each->take(logits.rows(row, row + each->rows()));
    row += each->rows();
    ++each->done_;
  }
}

}  // namespace dalle1::transformer
