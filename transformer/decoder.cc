#include "transformer/decoder.h"

#include <algorithm>

#include "core/ops/movement.h"

namespace dalle1::transformer {
namespace {

constexpr int64_t kFree = -1;

bool all_within(std::span<const int64_t> ids, int64_t low, int64_t high) {
  return std::all_of(ids.begin(), ids.end(), [&](int64_t id) { return id >= low && id < high; });
}

// One row [1, V] as N equal rows.
Tensor repeated(const Tensor& row, int64_t count) {
  Tensor rows = Tensor::empty(row.device(), {count, row.dim(1)}, row.dtype());
  row.kernels().strided_copy({{count, row.dim(1)}, {0, 1}, {row.dim(1), 1}}, row, rows);
  return rows;
}

}  // namespace

Prefix::Prefix(Context& context, const Transformer& model, std::span<const int64_t> text,
               std::span<const int64_t> first_cells) {
  const TransformerConfig& config = model.config();
  const auto forced = static_cast<int64_t>(first_cells.size());
  const int64_t fed = std::min<int64_t>(forced, config.cells() - 1);  // the last token predicts nothing
  const int64_t before = config.prefix(config.text_length);
  Device& device = model.device();
  const Tensor ids = Tensor::from(device, {1, config.text_length}, text);
  const Tensor cells = fed ? Tensor::from(device, {1, fed}, first_cells.first(fed)) : Tensor();
  const auto sequence =
      std::make_shared<PrefillSequence>(layer_patterns(config, config.text_length), config.heads);
  Context plain = context.untaped();
  const Tensor hidden =
      model.trunk(plain, model.embed(plain, ids, cells), sequence).view({before + fed, config.width});
  layers_ = sequence->take();
  // Row before + cell - 1 holds the logits of a cell.
  const Tensor logits = model.image_logits(plain, hidden.rows(before - 1, before + fed));
  if (forced > 0) {
    for (float value : log_probabilities(logits.rows(0, forced), first_cells)) log_likelihood_ += value;
  }
  if (forced < config.cells()) logits_ = logits.rows(forced, forced + 1);
}

Decoder::Decoder(Context& context, const Transformer& model, DecodeRequest request)
    : model_(model), request_(std::move(request)) {
  check_request();
  const TransformerConfig& config = model.config();
  if (request_.forced.empty()) request_.forced.assign(config.cells(), kFree);
  if (request_.prefill_forced) {
    const auto first_free = std::find(request_.forced.begin(), request_.forced.end(), kFree);
    prefilled_ = static_cast<int32_t>(first_free - request_.forced.begin());
  }
  const auto first_cells = std::span<const int64_t>(request_.forced).first(prefilled_);
  prefixes_.emplace_back(context, model, request_.text, first_cells);
  if (request_.sampling.guided()) prefixes_.emplace_back(context, model, request_.unconditional, first_cells);
  const int32_t before = config.prefix(config.text_length), last = config.cells() - 1;
  plans_ = plan_slots(layer_patterns(config, config.text_length), before + std::min(prefilled_, last),
                      before + last, request_.retain_all);
}

void Decoder::check_request() const {
  const TransformerConfig& config = model_.config();
  const auto check_text = [&](const std::vector<int64_t>& text) {
    check(static_cast<int32_t>(text.size()) == config.text_length, ErrorKind::input,
          "a prompt of {} text slots; the transformer has {}", text.size(), config.text_length);
    check(all_within(text, 0, config.text_classes()), ErrorKind::input, "a text id is outside [0, {})",
          config.text_classes());
  };
  validate(request_.sampling);
  check_text(request_.text);
  if (request_.sampling.guided()) check_text(request_.unconditional);
  if (request_.forced.empty()) return;
  check(static_cast<int32_t>(request_.forced.size()) == config.cells(), ErrorKind::input,
        "{} forced cells; the grid has {}", request_.forced.size(), config.cells());
  check(all_within(request_.forced, kFree, config.image_vocab), ErrorKind::input,
        "a forced image token is outside [0, {})", config.image_vocab);
}

Tensor Decoder::first_logits(int64_t candidates) const {
  Context plain(model_.device());
  std::vector<Tensor> groups;
  for (const Prefix& prefix : prefixes_) groups.push_back(repeated(prefix.logits(), candidates));
  return groups.size() == 1 ? groups.front() : ops::concat(plain, groups, 0);
}

// Fills column `cell` of the tokens from logits [groups * N, V] and adds to the likelihoods.
void Decoder::choose(const Tensor& logits, int32_t cell, std::span<const uint32_t> candidates,
                     Decoded& result) const {
  const auto count = static_cast<int64_t>(candidates.size());
  const SamplingOptions& sampling = request_.sampling;
  const Tensor conditional = logits.rows(0, count);
  const int64_t forced = request_.forced[cell];
  std::vector<int64_t> tokens(count, forced);
  std::vector<float> log_probs(count);
  if (forced == kFree) {
    const Tensor guided = sampling.guided()
                              ? guide(conditional, logits.rows(count, 2 * count), sampling.guidance)
                              : conditional;
    logits.kernels().sample(guided, sampling.rule, sampling.seed, candidates, static_cast<uint32_t>(cell),
                            tokens, log_probs);
  }
  if (forced != kFree || sampling.guided()) log_probs = log_probabilities(conditional, tokens);
  auto& sums = forced == kFree ? result.log_likelihood : result.forced_log_likelihood;
  for (int64_t n = 0; n < count; ++n) {
    result.tokens[n * model_.config().cells() + cell] = tokens[n];
    sums[n] += log_probs[n];
  }
}

Decoded Decoder::decode(Context& context, std::span<const uint32_t> candidates, const Hooks& hooks) {
  const TransformerConfig& config = model_.config();
  const auto count = static_cast<int64_t>(candidates.size());
  const auto groups = static_cast<int64_t>(prefixes_.size());
  const int32_t before = config.prefix(config.text_length), cells = config.cells();
  Context plain = context.untaped();
  Decoded result{std::vector<int64_t>(count * cells, kFree), std::vector<double>(count),
                 std::vector<double>(count, prefixes_.front().log_likelihood()), prefilled_};
  for (int64_t n = 0; n < count; ++n) {
    std::copy_n(request_.forced.begin(), prefilled_, result.tokens.begin() + n * cells);
  }
  std::vector<std::span<const LayerPrefix>> prefixes;
  for (const Prefix& prefix : prefixes_) prefixes.push_back(prefix.layers());
  const auto sequence = std::make_shared<CachedSequence>(model_.device(), plans_, std::move(prefixes), count,
                                                         config.heads, config.head_size());
  Tensor logits = prefilled_ < cells ? first_logits(count) : Tensor();
  for (int32_t cell = prefilled_; cell < cells; ++cell) {
    if (hooks.logits) hooks.logits(cell, logits.rows(0, count));
    choose(logits, cell, candidates, result);
    result.cells = cell + 1;
    if (hooks.progress && !hooks.progress(cell + 1)) break;
    if (cell == cells - 1) break;
    std::vector<int64_t> newest(groups * count);
    for (int64_t row = 0; row < groups * count; ++row)
      newest[row] = result.tokens[row % count * cells + cell];
    const Tensor ids = Tensor::from(model_.device(), {groups * count}, newest);
    sequence->seek(before + cell);
    logits = model_.image_logits(plain, model_.trunk(plain, model_.embed_cell(plain, ids, cell), sequence));
  }
  cache_use_ = {sequence->bytes(), sequence->prefix_rows_read(), sequence->private_rows_read()};
  return result;
}

}  // namespace dalle1::transformer
