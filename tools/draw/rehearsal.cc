#include "tools/draw/rehearsal.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "core/cpu/counting_device.h"
#include "rerank/model_set.h"
#include "rerank/scorer.h"
#include "tools/models/transformer_model.h"
#include "transformer/estimate.h"
#include "transformer/sequence.h"

namespace dalle1::tools {
namespace {

constexpr int kLargestWave = 128;  // Beyond, memory is extrapolated: it is linear in the wave.

using Sources = std::vector<std::unique_ptr<rerank::CandidateSource>>;

// As rerank::AlternatingSource shares a wave out; two cells are enough, since all steps are alike.
void sample(const Sources& sources, int wave) {
  const auto shares = static_cast<int>(sources.size());
  for (int i = 0; i < shares; ++i) {
    std::vector<uint32_t> own(static_cast<size_t>((wave + shares - 1 - i) / shares));
    std::iota(own.begin(), own.end(), 0);
    int steps = 0;
    if (!own.empty()) sources[static_cast<size_t>(i)]->sample(own, [&](int) { return ++steps < 2; });
  }
}

// Decoding and scoring go by smaller batches, each of which leaves blocks of its own size behind.
rerank::Wave representative(int wave, int cells) {
  constexpr int most_at_once = 16;
  const int count = wave <= most_at_once ? wave : most_at_once + wave % most_at_once;
  rerank::Wave part;
  part.candidates.resize(static_cast<size_t>(count));
  part.tokens.resize(static_cast<size_t>(count * cells));
  part.log_likelihood.resize(static_cast<size_t>(count));
  part.forced_log_likelihood.resize(static_cast<size_t>(count));
  part.forced.resize(static_cast<size_t>(count));
  return part;
}

// Of what goes by waves: of one size, and the last one; 0: none.
using Waves = std::array<int, 2>;

// `looked_at`: what is decoded and scored where candidates are pruned; else all that is sampled is.
Footprint count(const rerank::ModelSet& models, const DrawOptions& options,
                std::span<const rerank::Redraw> redraws, const Waves& sampled, const Waves& looked_at) {
  const auto device = make_counting_device(models.device());
  rerank::ModelSet stage = models.on(device);
  Footprint footprint;
  footprint.weights = static_cast<double>(device->footprint());
  footprint.picture_size = stage.decoder().picture_size();
  const int cells = stage.config().cells();
  std::vector<std::vector<int32_t>> forced;
  for (const auto& redraw : redraws)
    forced.push_back(rerank::forced_cells(redraw, std::vector<int32_t>(static_cast<size_t>(cells))));
  if (!forced.empty()) {
    const int size = stage.decoder().encoded_size();
    stage.decoder().encode(Image(size, size, 3));
  }
  Sources sources;
  if (forced.empty()) sources.push_back(stage.source(options, ""));
  for (const auto& each : forced) sources.push_back(stage.source(options, "", each));
  const auto scorer = stage.scorer("", options.truncate);
  const auto judge_of_tokens = stage.judge_of_tokens(options);
  const auto look_at = [&](int size) {
    const auto part = representative(size, cells);
    const double begin = device->operations();
    const auto pictures = stage.decoder().decode(part.tokens, static_cast<int>(part.size()));
    const double decoded = device->operations();
    scorer->score({part, pictures});
    footprint.decode_operations = (decoded - begin) / static_cast<double>(part.size());
    footprint.score_operations = (device->operations() - decoded) / static_cast<double>(part.size());
  };
  const auto judge = [&](int size) {
    const double begin = device->operations();
    const auto part = representative(size, cells);
    judge_of_tokens->score({part, {}});
    footprint.judge_operations = (device->operations() - begin) / static_cast<double>(part.size());
  };
  for (auto& source : sources) source->prefill();
  for (const int size : sampled) {
    if (size == 0) continue;
    sample(sources, size);
    judge_of_tokens ? judge(size) : look_at(size);
  }
  for (const int size : looked_at)
    if (judge_of_tokens && size > 0) look_at(size);
  footprint.workspace = static_cast<double>(device->footprint()) - footprint.weights;
  return footprint;
}

}  // namespace

Footprint rehearse(const rerank::ModelSet& models, const DrawOptions& options,
                   std::span<const rerank::Redraw> redraws, int candidates, int wave) {
  const int rest = candidates % wave;
  const double scale = std::max(1.0, wave / static_cast<double>(kLargestWave));
  const auto waves = [&](int pictures, double by) {
    const auto scaled = [&](int size) { return static_cast<int>(size / by); };
    return Waves{scaled(std::min(wave, pictures)), pictures > wave ? scaled(pictures % wave) : 0};
  };
  const auto counted = [&](double by) {
    return count(models, options, redraws, waves(candidates, by),
                 waves(std::min(options.prune, candidates), by));
  };
  auto footprint = counted(scale);
  if (scale > 1) {
    const auto half = counted(2 * scale);
    footprint.workspace += (footprint.workspace - half.workspace) * 2 * (scale - 1);
  }
  transformer::EstimateOptions of_cache;
  of_cache.groups = options.guidance != 1.0 ? 2 : 1;
  of_cache.cache = transformer::cache_type_from_name(options.kv_dtype);
  of_cache.activations = precisions_of(models.precision(), models.device()).transformer.activations;
  of_cache.device = models.device().kind();
  const auto sampling = transformer::estimate(models.config(), of_cache);
  const double prompts = static_cast<double>(std::max<size_t>(1, redraws.size()));
  footprint.cache = std::min(
      prompts * static_cast<double>(sampling.prefix) + (wave + rest) * static_cast<double>(sampling.cache),
      footprint.workspace);
  footprint.workspace -= footprint.cache;
  return footprint;
}

}  // namespace dalle1::tools
