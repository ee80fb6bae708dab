// Cached decoding against the whole forward pass.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "tests/transformer/small_models.h"
#include "transformer/decoder.h"
#include "transformer/estimate.h"
#include "transformer/shares.h"

namespace dalle1::test {
namespace {

using namespace transformer;

DecodeRequest request_for(const TransformerConfig& config, uint64_t seed = 0) {
  DecodeRequest request;
  request.text = fill_text_slots(config, {3, 1, 4}, {});
  request.unconditional = empty_text_slots(config, {});
  request.sampling.seed = seed;
  return request;
}

std::vector<uint32_t> numbers(uint32_t begin, uint32_t end) {
  std::vector<uint32_t> list(end - begin);
  std::iota(list.begin(), list.end(), begin);
  return list;
}

// What token shift keeps of a candidate: half of the channels of a row of cells, twice a layer.
size_t shift_bytes(const TransformerConfig& config) {
  return config.token_shift ? sizeof(float) * config.layers * config.grid * config.width : 0;
}

// Every convention that touches positions: patterns, wraps, prepended start.
std::vector<TransformerConfig> every_config() {
  std::vector<TransformerConfig> configs;
  for (const auto& schedule : every_schedule()) {
    for (const char* wrap : {"raster", "none", "rudalle-v2"}) {
      if (schedule != "conv" && std::string(wrap) != "raster") continue;
      for (bool prepended : {false, true}) {
        TransformerConfig config = small_config(schedule, schedule == "paper" ? 4 : 2);
        config.schedule.wrap = wrap;
        config.sandwich_norm = config.head_norm = prepended;
        config.start = prepended ? "prepended" : "none";
        config.loss = prepended ? "rudalle_v2" : "paper";
        configs.push_back(config);
      }
    }
  }
  configs.push_back(normalised_config("paper", 4));
  for (const auto& schedule : every_schedule()) configs.push_back(dalle_pytorch_config(schedule, 4));
  configs.push_back(small_config("paper", 4));
  configs.back().token_shift = true;
  return configs;
}

TEST_CASE("a mixed cache is fp8 in layers that keep most of the grid and bf16 in those of a window") {
  TransformerConfig config = small_config("list", 4);
  config.grid = 8;
  config.schedule.list = {"row", "column", "conv:3", "dense"};
  const Segment cells = config.sequence(config.text_length).grid();
  const auto plans = plan_slots(layer_patterns(config, config.text_length), cells.begin, cells.end - 1);
  std::vector<CacheType> kept;
  for (const auto& plan : plans) kept.push_back(layer_cache(CacheType::mixed, *plan));
  CHECK((kept == std::vector{CacheType::bf16, CacheType::e4m3, CacheType::bf16, CacheType::e4m3}));
  for (const auto& plan : plans) CHECK(layer_cache(CacheType::f32, *plan) == CacheType::f32);

  EstimateOptions mixed;
  mixed.cache = CacheType::mixed;
  mixed.device = DeviceKind::cuda;
  size_t bytes = 0;
  for (size_t layer = 0; layer < plans.size(); ++layer)
    bytes += 2 * static_cast<size_t>(plans[layer]->slots() * config.width) * (layer % 2 ? 1 : 2);
  CHECK(estimate(config, mixed).cache == bytes);
  CHECK(estimate(config, mixed).prefix == 4 * 2 * 2 * static_cast<size_t>(cells.begin * config.width));
}

TEST_CASE("decode_matches_forward: every step's logits are the forward pass's row") {
  auto device = make_cpu_device(1);
  Context context(*device);
  for (const TransformerConfig& config : every_config()) {
    CAPTURE(config.schedule.kind);
    CAPTURE(config.schedule.wrap);
    CAPTURE(config.start);
    const Transformer model = small_model(*device, config);
    for (int prefilled : {0, 5}) {
      for (bool retain_all : {false, true}) {
        CAPTURE(prefilled);
        CAPTURE(retain_all);
        DecodeRequest request = request_for(config);
        request.forced.assign(config.cells(), -1);
        for (int cell = 0; cell < prefilled; ++cell) request.forced[cell] = (3 * cell) % config.image_vocab;
        request.retain_all = retain_all;
        Decoder decoder(context, model, request);
        std::vector<std::vector<float>> steps;
        Decoder::Hooks hooks;
        hooks.logits = [&](int32_t, const Tensor& logits) { steps.push_back(logits.to_floats()); };
        const Decoded decoded = decoder.decode(numbers(0, 3), hooks);
        REQUIRE(static_cast<int>(steps.size()) == config.cells() - prefilled);

        for (int64_t n = 0; n < 3; ++n) {
          const auto begin = decoded.tokens.begin() + n * config.cells();
          const TokenBatch batch{Tensor::from(*device, {1, config.text_length}, request.text),
                                 Tensor::from(*device, {1, config.cells()},
                                              std::vector<int64_t>(begin, begin + config.cells()))};
          const auto whole = all_logits(model, batch, config.cells() - 1).to_floats();
          double likelihood = 0, worst = 0;
          for (int32_t cell = prefilled; cell < config.cells(); ++cell) {
            const int64_t row = config.sequence(config.text_length).grid().begin + cell - 1;
            const float* expected = whole.data() + row * config.classes() + config.text_classes();
            const float* given = steps[cell - prefilled].data() + n * config.image_vocab;
            double sum = 0;
            for (int32_t v = 0; v < config.image_vocab; ++v) {
              worst = std::max(worst, std::abs(double{expected[v]} - given[v]));
              sum += std::exp(double{expected[v]});
            }
            likelihood += expected[begin[cell]] - std::log(sum);
          }
          CHECK(worst < 2e-4);
          CHECK(decoded.log_likelihood[n] == doctest::Approx(likelihood).epsilon(1e-4));
        }
      }
    }
  }
}

TEST_CASE("the windowed cache gives the bits of the full one, in a fraction of the slots") {
  auto device = make_cpu_device(1);
  Context context(*device);
  for (TransformerConfig config : every_config()) {
    config.grid = 6;
    CAPTURE(config.schedule.kind);
    CAPTURE(config.schedule.wrap);
    const Transformer model = small_model(*device, config);
    DecodeRequest request = request_for(config);
    Decoder windowed(context, model, request);
    request.retain_all = true;
    Decoder full(context, model, request);
    CHECK(windowed.decode(numbers(0, 2)).tokens == full.decode(numbers(0, 2)).tokens);
    CHECK(windowed.cache_use().bytes <= full.cache_use().bytes);
    CHECK(windowed.cache_use().private_rows_read == full.cache_use().private_rows_read);
  }
}

TEST_CASE("slots are what the pattern's window needs") {
  TransformerConfig config;
  config.layers = 4;
  const auto patterns = layer_patterns(config, 256);
  const auto plans = plan_slots(patterns, 256, 256 + 1023);
  CHECK(plans[0]->slots() == 33);    // row: itself and 32 before
  CHECK(plans[1]->slots() == 1023);  // column: the grid
  CHECK(plans[3]->slots() == 166);   // 11 x 11 by raster offset: 5 rows and 5 cells back, and itself
  CHECK(plans[0] == plans[2]);
}

TEST_CASE("decoding reads no cache row that the pattern does not see, and stores no text key a candidate") {
  auto device = make_cpu_device(1);
  Context context(*device);
  for (const TransformerConfig& config : every_config()) {
    CAPTURE(config.schedule.kind);
    const Transformer model = small_model(*device, config);
    Decoder decoder(context, model, request_for(config));
    const int64_t candidates = 3, before = config.sequence(config.text_length).grid().begin;
    decoder.decode(numbers(0, candidates));
    int64_t prefix_rows = 0, private_rows = 0, slots = 0;
    for (const auto& pattern : layer_patterns(config, config.text_length)) {
      std::vector<int> wanted(config.cells() + before);
      for (int64_t query = before; query < before + config.cells() - 1; ++query) {
        int alive = 0;
        for (int64_t key = 0; key <= query; ++key) {
          const bool seen = pattern.sees(static_cast<int32_t>(query), static_cast<int32_t>(key));
          (key < before ? prefix_rows : private_rows) += seen ? (key < before ? 1 : candidates) : 0;
        }
        for (int64_t key = before; key <= query; ++key) alive += last_query(pattern, key) >= query;
        wanted.push_back(alive);
      }
      const int most = *std::max_element(wanted.begin(), wanted.end());
      slots += most < config.cells() - 1 - config.grid ? most : config.cells() - 1;
    }
    CHECK(decoder.cache_use().prefix_rows_read == prefix_rows);
    CHECK(decoder.cache_use().private_rows_read == private_rows);
    const size_t stores = slots * config.attention_width() * 2 * sizeof(float);
    CHECK(decoder.cache_use().bytes == candidates * (stores + shift_bytes(config)));
    CHECK(estimate(config, {}).cache * candidates == decoder.cache_use().bytes);
  }
}

TEST_CASE("a cache in bf16 takes half of the bytes and hardly changes likelihoods; one in fp8 is for GPUs") {
  auto device = make_cpu_device(2);
  Context context(*device);
  for (const TransformerConfig& config : every_config()) {
    CAPTURE(config.schedule.kind);
    const Transformer model = small_model(*device, config);
    DecodeRequest request = request_for(config);
    Decoder wide(context, model, request);
    const auto drawn = wide.decode(numbers(0, 2));
    request.prefill_forced = false;
    request.forced.assign(drawn.tokens.begin(), drawn.tokens.begin() + config.cells());
    request.cache = CacheType::bf16;
    Decoder narrow(context, model, request);
    const auto likelihood = narrow.decode(numbers(0, 2)).forced_log_likelihood.front();
    CHECK(likelihood == doctest::Approx(drawn.log_likelihood.front()).epsilon(2e-3));
    CHECK(likelihood != drawn.log_likelihood.front());
    const size_t shift = 2 * shift_bytes(config);  // of both candidates, in f32 as before
    CHECK(2 * (narrow.cache_use().bytes - shift) == wide.cache_use().bytes - shift);
    EstimateOptions options;
    options.cache = CacheType::bf16;
    CHECK(estimate(config, options).cache * 2 == narrow.cache_use().bytes);
    CHECK(estimate(config, options).prefix == estimate(config, {}).prefix);
    request.cache = CacheType::mixed;
    CHECK_THROWS_WITH_AS(Decoder(context, model, request), doctest::Contains("fp8 need a GPU"), Error);
  }
}

TEST_CASE("candidates are the same for any wave and any number of threads") {
  const TransformerConfig config = small_config("paper", 4);
  std::map<float, Decoded> references;  // by guidance
  for (int threads = 1; threads <= 8; ++threads) {
    CAPTURE(threads);
    auto device = make_cpu_device(threads);
    Context context(*device);
    const Transformer model = small_model(*device, config);
    for (float guidance : {1.0f, 1.7f}) {
      DecodeRequest request = request_for(config, 42);
      request.sampling.guidance = guidance;
      request.sampling.rule = {0.9f, 9, 0.95f};
      Decoder decoder(context, model, request);
      const Decoded all = decoder.decode(numbers(0, 64));
      const Decoded& reference = references.try_emplace(guidance, all).first->second;
      CHECK(reference.tokens == all.tokens);
      CHECK(reference.log_likelihood == all.log_likelihood);
      const auto few = {1u, 2u, 3u, 7u, 32u}, many = {24u, 40u};  // some in shares, some together
      for (uint32_t wave : threads <= 2 ? few : many) {
        for (uint32_t begin = 0; begin < 64; begin += wave) {
          const uint32_t end = std::min(64u, begin + wave);
          const Decoded part = decoder.decode(numbers(begin, end));
          REQUIRE(std::equal(part.tokens.begin(), part.tokens.end(),
                             all.tokens.begin() + begin * config.cells()));
          REQUIRE(std::equal(part.log_likelihood.begin(), part.log_likelihood.end(),
                             all.log_likelihood.begin() + begin));
        }
      }
    }
  }
  for (const auto& [guidance, reference] : references) {
    CAPTURE(guidance);  // they are drawn, not constant
    CHECK(std::set<int64_t>(reference.tokens.begin(), reference.tokens.end()).size() > 5);
  }
}

TEST_CASE("guidance: scale 1 and equal prompts change nothing, others do") {
  auto device = make_cpu_device(1);
  Context context(*device);
  for (const TransformerConfig& config : {small_config("paper", 4), dalle_pytorch_config("paper", 4)}) {
    const Transformer model = small_model(*device, config);
    DecodeRequest request = request_for(config);
    const auto plain = Decoder(context, model, request).decode(numbers(0, 4));
    request.sampling.guidance = 3.0f;
    const auto guided = Decoder(context, model, request).decode(numbers(0, 4));
    CHECK(plain.tokens != guided.tokens);
    request.unconditional = request.text;
    const auto same = Decoder(context, model, request).decode(numbers(0, 4));
    CHECK(plain.tokens == same.tokens);
    for (size_t n = 0; n < 4; ++n)
      CHECK(plain.log_likelihood[n] == doctest::Approx(same.log_likelihood[n]).epsilon(1e-5));
  }
}

TEST_CASE("forced cells stay, wherever they are; their likelihood is apart; a full grid is scored") {
  auto device = make_cpu_device(1);
  Context context(*device);
  const TransformerConfig config = small_config("paper", 4);
  const Transformer model = small_model(*device, config);
  DecodeRequest request = request_for(config);
  request.forced.assign(config.cells(), -1);
  for (int cell : {0, 1, 2, 3, 7, 9, 15}) request.forced[cell] = cell % config.image_vocab;
  Decoder prefilled(context, model, request);
  CHECK(prefilled.prompt().prefilled() == 4);
  const auto a = prefilled.decode(numbers(0, 3));
  request.prefill_forced = false;
  const auto b = Decoder(context, model, request).decode(numbers(0, 3));
  CHECK(a.tokens == b.tokens);
  for (size_t n = 0; n < 3; ++n) {
    for (int cell : {0, 1, 2, 3, 7, 9, 15}) CHECK(a.tokens[n * 16 + cell] == cell % config.image_vocab);
    CHECK(a.forced_log_likelihood[n] == doctest::Approx(b.forced_log_likelihood[n]).epsilon(1e-5));
    CHECK(a.log_likelihood[n] == doctest::Approx(b.log_likelihood[n]).epsilon(1e-5));
    DecodeRequest score = request_for(config);
    score.forced.assign(a.tokens.begin() + n * 16, a.tokens.begin() + n * 16 + 16);
    const auto scored = Decoder(context, model, score).decode(numbers(0, 1));
    CHECK(scored.forced_log_likelihood[0] ==
          doctest::Approx(a.forced_log_likelihood[n] + a.log_likelihood[n]).epsilon(1e-5));
    CHECK(scored.log_likelihood[0] == 0);
  }
  request.forced[3] = config.image_vocab;
  CHECK_THROWS_AS(Decoder(context, model, request), Error);
}

TEST_CASE("progress is what all candidates have; a stopped decoding returns it; an error ends it") {
  const TransformerConfig config = small_config("row");
  for (const int threads : {1, 2, 8}) {  // several take shares of the candidates
    CAPTURE(threads);
    const uint32_t count = 64;
    CHECK(share_count(count, 1, threads) == threads);
    auto device = make_cpu_device(threads);
    Context context(*device);
    const Transformer model = small_model(*device, config);
    Decoder decoder(context, model, request_for(config));
    std::vector<int32_t> reports;
    Decoder::Hooks hooks;
    hooks.progress = [&](int32_t cells) { return reports.push_back(cells), true; };
    const auto whole = decoder.decode(numbers(0, count), hooks);
    CHECK(std::is_sorted(reports.begin(), reports.end()));
    REQUIRE_FALSE(reports.empty());
    CHECK(reports.back() == config.cells());
    CHECK(std::count(reports.begin(), reports.end(), config.cells()) == 1);

    hooks.progress = [](int32_t cells) { return cells < 6; };
    const auto part = decoder.decode(numbers(0, count), hooks);
    CHECK(part.cells >= 6);
    if (threads == 1) CHECK(part.cells == 6);
    REQUIRE(part.tokens.size() == whole.tokens.size());
    for (size_t n = 0; n < count; ++n) {
      for (size_t cell = 0; cell < 16; ++cell) {
        const bool done = static_cast<int32_t>(cell) < part.cells;
        REQUIRE(part.tokens[n * 16 + cell] == (done ? whole.tokens[n * 16 + cell] : -1));
      }
    }
    hooks.progress = [](int32_t) -> bool { fail(ErrorKind::model, "broken"); };
    CHECK_THROWS_WITH_AS(decoder.decode(numbers(0, count), hooks), "broken", Error);
  }
}

TEST_CASE("estimates count parameters exactly and give the paper's arithmetic") {
  auto device = make_cpu_device(1);
  for (const TransformerConfig& config : every_config()) {
    Transformer model(*device, config);
    CHECK(parameter_count(config) == model.parameter_count());
  }
  TransformerConfig paper;
  paper.layers = 64;
  paper.width = 3968;
  paper.heads = 62;
  const Estimate result = estimate(paper, {2, CacheType::bf16, DType::bf16});
  CHECK(static_cast<double>(result.parameters) == doctest::Approx(12.294e9).epsilon(1e-4));
  CHECK(static_cast<double>(result.cache) == doctest::Approx(287.3e6).epsilon(2e-3));
  CHECK(static_cast<double>(result.full_cache) == doctest::Approx(1040.2e6).epsilon(1e-4));
  CHECK(static_cast<double>(result.prefix) == doctest::Approx(260.0e6).epsilon(1e-3));
  CHECK(result.prefill_flops == doctest::Approx(6.22e12).epsilon(2e-3));
  CHECK(result.image_flops == doctest::Approx(25.13e12).epsilon(2e-3));
  const Estimate guided = estimate(paper, {2, CacheType::bf16, DType::bf16, /*groups=*/2});
  CHECK(guided.cache == 2 * result.cache);
  CHECK(guided.prefix == 2 * result.prefix);
}

TEST_CASE("sampling options out of range are refused by name") {
  SamplingOptions options;
  options.rule.top_p = 0;
  CHECK_THROWS_WITH_AS(validate(options), doctest::Contains("top_p 0: it must be above 0"), Error);
  options.rule = {-1.0f, 0, 1.0f};
  CHECK_THROWS_WITH_AS(validate(options), doctest::Contains("temperature -1: it must be 0 (greedy) or more"),
                       Error);
}

}  // namespace
}  // namespace dalle1::test
