#include "transformer/decoder.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "core/ops/embedding.h"
#include "core/ops/movement.h"
#include "core/ops/sampling.h"
#include "transformer/shares.h"

namespace dalle1::transformer {
namespace {

constexpr int64_t kFree = -1;
constexpr int32_t kCellsPerWait = 16;  // between two waits for a GPU

bool all_within(std::span<const int64_t> ids, int64_t low, int64_t high) {
  return std::all_of(ids.begin(), ids.end(), [&](int64_t id) { return id >= low && id < high; });
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
    layer = {layer.keys.to(dtype), layer.values.to(dtype)};
  }
}

Decoder::Decoder(Context& context, const Transformer& model, DecodeRequest request)
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

Tensor Decoder::first_logits(int64_t candidates) const {
  Context plain(model_.device());
  std::vector<Tensor> groups;
  for (const Prefix& prefix : prefixes_)
    groups.push_back(ops::broadcast(prefix.logits(), {candidates, prefix.logits().dim(1)}));
  return groups.size() == 1 ? groups.front() : ops::concat(plain, groups, 0);
}

/// Where a decoding stands; all that a step reads or writes is in the device's memory.
struct Decoder::Lockstep {
  size_t share = 0;  // its number
  int64_t candidates = 0;
  CellSampling sampling;
  Tensor places;     // [cells, C]
  Tensor rotations;  // [cells, D], or undefined
  Tensor logits;     // of the newest cell, [groups * N, V]
  std::shared_ptr<CachedSequence> sequence;
};

Decoder::Lockstep Decoder::begin(Context& context, std::span<const uint32_t> candidates) const {
  const TransformerConfig& config = model_.config();
  Device& device = model_.device();
  const auto count = static_cast<int64_t>(candidates.size()), groups = static_cast<int64_t>(prefixes_.size());
  const int64_t cells = config.cells();
  Lockstep state;
  state.candidates = count;
  CellSampling& cell = state.sampling;
  cell.rule = request_.sampling.rule;
  cell.seed = request_.sampling.seed;
  cell.cell = Tensor::from(device, {1}, std::vector<int64_t>{prefilled_});
  cell.candidates = Tensor::empty(device, {count}, DType::i32);
  device.copy_from_host(cell.candidates.raw(), candidates.data(), candidates.size_bytes());
  cell.forced = Tensor::from(device, {cells}, request_.forced);
  cell.tokens = Tensor::from(device, {cells, count}, std::vector<int64_t>(cells * count, kFree));
  cell.log_probs = Tensor::zeros(device, {cells, count});
  cell.newest = Tensor::empty(device, {groups * count}, DType::i64);
  state.places = model_.places(context, cells);
  if (config.rotary) {
    const int64_t before = config.prefix(config.text_length);
    state.rotations = model_.rotations(config.text_length).rows(before, before + cells);
  }
  std::vector<std::span<const LayerPrefix>> prefixes;
  for (const Prefix& prefix : prefixes_) prefixes.push_back(prefix.layers());
  state.sequence =
      std::make_shared<CachedSequence>(device, plans_, std::move(prefixes), count, request_.cache);
  if (device.captures()) state.sequence->follow(cell.cell, config.prefix(config.text_length));
  return state;
}

// The tokens of the cell that the device's counter names.
void Decoder::sample(const Tensor& logits, const Lockstep& state) const {
  const int64_t count = state.candidates;
  const Tensor own = logits.rows(0, count);
  const SamplingOptions& sampling = request_.sampling;
  const Tensor guided =
      sampling.guided() ? guide(own, logits.rows(count, 2 * count), sampling.guidance) : own;
  ops::sample_cell(guided, own, state.sampling);
}

// From one cell's tokens to those of the next.
void Decoder::step(Context& context, Lockstep& state) const {
  CellSampling& cell = state.sampling;
  const Tensor place = ops::embedding(context, cell.cell, state.places);
  const Tensor x = model_.embed_at(context, cell.newest, place);
  if (state.rotations.defined()) state.sequence->turn(ops::embedding(context, cell.cell, state.rotations));
  state.logits = head_.forward(context, model_.trunk(context, x, state.sequence), {}, DType::f32);
  ops::advance(cell.cell);
  sample(state.logits, state);
}

// How far the shares are, and whether they are to stop.
class Decoder::Watch {
 public:
  Watch(size_t shares, int32_t done, const std::function<bool(int32_t)>& progress)
      : done_(shares), progress_(progress) {
    for (auto& each : done_) each = done;
  }
  void stop() { stopped_ = true; }
  bool stopped() const { return stopped_; }
  int32_t done() const { return *std::min_element(done_.begin(), done_.end()); }
  void set_done(size_t share, int32_t cells) { done_[share] = cells; }
  /// Says how far all are, unless another thread is saying it.
  void report() {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (lock && progress_ && !progress_(done())) stop();
  }

 private:
  std::vector<std::atomic<int32_t>> done_;
  const std::function<bool(int32_t)>& progress_;
  std::mutex mutex_;
  std::atomic<bool> stopped_ = false;
};

// Takes one share through all cells.
void Decoder::run(Context context, Lockstep& state, Watch& watch, const Hooks& hooks) const {
  const int32_t cells = model_.config().cells(), before = model_.config().prefix(model_.config().text_length);
  Device& device = model_.device();
  const auto next = device.capture([&] { step(context, state); });
  const int32_t wait = device.is_cpu() ? 1 : kCellsPerWait;
  for (int32_t done = prefilled_; done < cells && !watch.stopped();) {
    if (done == prefilled_) {
      state.logits = first_logits(state.candidates);
      sample(state.logits, state);
    } else {
      state.sequence->seek(before + done - 1);
      next->launch();
    }
    if (hooks.logits) hooks.logits(done, state.logits.rows(0, state.candidates));
    watch.set_done(state.share, ++done);
    if (!hooks.progress || done % wait != 0 || done == cells) continue;
    device.synchronize();
    watch.report();
  }
}

void Decoder::finish(const Lockstep& state, Decoded& result) const {
  const int32_t cells = model_.config().cells();
  const int64_t count = state.candidates;
  const auto tokens = state.sampling.tokens.to_ints();
  const auto log_probs = state.sampling.log_probs.to_floats();
  for (int64_t n = 0; n < count; ++n) {
    double sampled = 0, given = prefixes_.front().log_likelihood();
    result.tokens.insert(result.tokens.end(), request_.forced.begin(), request_.forced.begin() + prefilled_);
    for (int32_t cell = prefilled_; cell < result.cells; ++cell) {
      result.tokens.push_back(tokens[cell * count + n]);
      (request_.forced[cell] == kFree ? sampled : given) += log_probs[cell * count + n];
    }
    result.tokens.resize(
        result.tokens.size() + static_cast<size_t>(cells - std::max(result.cells, prefilled_)), kFree);
    result.log_likelihood.push_back(sampled);
    result.forced_log_likelihood.push_back(given);
  }
}

struct Decoder::Running {
  const std::vector<Lockstep>& states;
  const Watch& watch;
};

// Shares that are ahead write rows of later cells meanwhile.
std::vector<int64_t> Decoder::tokens_so_far() const {
  check(running_ != nullptr, ErrorKind::internal, "nothing is being decoded");
  const int32_t done = running_->watch.done();
  std::vector<int64_t> result;
  for (const Lockstep& state : running_->states) {
    const auto rows = state.sampling.tokens.rows(0, done).to_ints();
    for (int64_t n = 0; n < state.candidates; ++n) {
      const auto own = result.insert(result.end(), request_.forced.begin(), request_.forced.end());
      for (int32_t cell = prefilled_; cell < done; ++cell) own[cell] = rows[cell * state.candidates + n];
    }
  }
  return result;
}

Decoded Decoder::decode(Context& context, std::span<const uint32_t> candidates, const Hooks& hooks) {
  Device& device = model_.device();
  const Context plain = context.untaped();
  const auto count = static_cast<int64_t>(candidates.size());
  const auto groups = static_cast<int>(prefixes_.size());
  const size_t shares = hooks.logits ? 1 : share_count(count, groups, device.threads());
  std::vector<Lockstep> states;
  for (size_t i = 0; i < shares; ++i) {
    const size_t first = candidates.size() * i / shares, end = candidates.size() * (i + 1) / shares;
    Context own = plain;
    states.push_back(begin(own, candidates.subspan(first, end - first)));
    states.back().share = i;
  }
  Watch watch(shares, prefilled_, hooks.progress);
  const Running running{states, watch};
  running_ = &running;
  device.run_parallel(static_cast<int>(shares), [&](int i) {
    try {
      run(plain, states[static_cast<size_t>(i)], watch, hooks);
    } catch (...) {
      watch.stop();
      throw;
    }
  });
  device.synchronize();
  if (!watch.stopped()) watch.report();
  running_ = nullptr;
  Decoded result;
  result.cells = watch.done();
  cache_use_ = {};
  for (const Lockstep& state : states) {
    finish(state, result);
    cache_use_.bytes += state.sequence->bytes();
    cache_use_.prefix_rows_read += state.sequence->prefix_rows_read();
    cache_use_.private_rows_read += state.sequence->private_rows_read();
    cache_use_.private_bytes_read += state.sequence->private_bytes_read();
  }
  return result;
}

}  // namespace dalle1::transformer
