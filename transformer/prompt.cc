#include "transformer/prompt.h"

#include <algorithm>

namespace dalle1::transformer {
namespace {

constexpr int64_t kFree = -1;

bool all_within(std::span<const int64_t> ids, int64_t low, int64_t high) {
  return std::all_of(ids.begin(), ids.end(), [&](int64_t id) { return id >= low && id < high; });
}

}  // namespace

Prefix::Prefix(Context& context, const Transformer& model, std::span<const int64_t> text,
               std::span<const int64_t> first_cells) {
  const TransformerConfig& config = model.config();
  const auto forced = static_cast<int64_t>(first_cells.size());
  const int64_t fed = std::min<int64_t>(forced, config.cells() - 1);  // the last token predicts nothing
  const int64_t before = config.sequence(config.text_length).grid().begin;
  Device& device = model.device();
  const Tensor ids = Tensor::from(device, {1, config.text_length}, text);
  const Tensor cells = fed ? Tensor::from(device, {1, fed}, first_cells.first(fed)) : Tensor();
  const auto sequence = std::make_shared<PrefillSequence>(layer_patterns(config, config.text_length),
                                                          config.heads, model.rotations(config.text_length));
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

void Prefix::keep_as(CacheType type) {
  for (LayerPrefix& layer : layers_) {
    const DType dtype = prefix_type(type, layer.keys.dtype(), layer.keys.device().kind());
    layer.keys = layer.keys.to(dtype);
    layer.values = layer.values.to(dtype);
  }
}

Prompt::Prompt(Context& context, const Transformer& model, DecodeRequest request)
    : model_(model), head_(model.image_head(context)), request_(std::move(request)) {
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
  for (Prefix& prefix : prefixes_) prefix.keep_as(request_.cache);
  const Segment cells = config.sequence(config.text_length).grid();
  const int32_t last = cells.end - 1;
  plans_ = plan_slots(layer_patterns(config, config.text_length), std::min(cells.begin + prefilled_, last),
                      last, request_.retain_all);
}

void Prompt::check_request() const {
  const TransformerConfig& config = model_.config();
  const auto check_text = [&](const std::vector<int64_t>& text) {
    check(static_cast<int32_t>(text.size()) == config.text_length, ErrorKind::input,
          "a prompt of {} text slots; the transformer has {}", text.size(), config.text_length);
    check(all_within(text, 0, config.text_classes()), ErrorKind::input, "a text id is outside [0, {})",
          config.text_classes());
  };
  validate(request_.sampling);
  check(
      (request_.cache != CacheType::e4m3 && request_.cache != CacheType::mixed) || !model_.device().is_cpu(),
      ErrorKind::usage, "keys and values in fp8 need a GPU; keep them in bf16 or f32");
  check_text(request_.text);
  if (request_.sampling.guided()) check_text(request_.unconditional);
  if (request_.forced.empty()) return;
  check(static_cast<int32_t>(request_.forced.size()) == config.cells(), ErrorKind::input,
        "{} forced cells; the grid has {}", request_.forced.size(), config.cells());
  check(all_within(request_.forced, kFree, config.image_vocab), ErrorKind::input,
        "a forced image token is outside [0, {})", config.image_vocab);
}

}  // namespace dalle1::transformer
