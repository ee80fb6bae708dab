// Decoding and training on a GPU against the CPU. Where there is no GPU the checks are counted as skipped.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "core/cuda/activity.h"
#include "core/train/optimizer.h"
#include "tests/transformer/small_models.h"
#include "transformer/decoder.h"

namespace dalle1::test {
namespace {

using namespace transformer;

Transformer on_device(Device& device, Transformer& model, DType matrices = DType::f32) {
  Transformer copy(device, model.config(), matrices);
  std::vector<Tensor> parameters;
  model.visit([&](const std::string&, Tensor& parameter) { parameters.push_back(parameter); });
  size_t next = 0;
  copy.visit([&](const std::string&, Tensor& parameter) {
    parameter = parameters[next++].to(device).to(parameter.dtype());
  });
  return copy;
}

std::vector<uint32_t> numbers(uint32_t count) {
  std::vector<uint32_t> list(count);
  std::iota(list.begin(), list.end(), 5u);
  return list;
}

DecodeRequest request_for(const TransformerConfig& config) {
  DecodeRequest request;
  request.text = fill_text_slots(config, {3, 1, 4}, {});
  request.unconditional = empty_text_slots(config, {});
  request.sampling.seed = 3;
  return request;
}

// Forced first cells, forced cells in the middle, guidance and cuts: all that a recorded step must follow.
void check_tokens(Device& cuda, const std::string& schedule, uint32_t candidates, float guidance) {
  CAPTURE(schedule);
  CAPTURE(candidates);
  const auto cpu = make_cpu_device(1);
  TransformerConfig config = small_config(schedule, schedule == "paper" ? 4 : 2);
  config.grid = 5;
  Transformer model = small_model(*cpu, config);
  const Transformer copy = on_device(cuda, model);
  DecodeRequest request = request_for(config);
  request.sampling.guidance = guidance;
  request.sampling.rule.top_k = 7;
  request.forced.assign(config.cells(), -1);
  for (const int cell : {0, 1, 2, 9, 10, 17}) request.forced[cell] = cell % config.image_vocab;
  Context here(*cpu), there(cuda);
  const Decoded expected = Decoder(here, model, request).decode(here, numbers(candidates));
  Decoder decoder(there, copy, request);
  const Decoded found = decoder.decode(there, numbers(candidates));
  CHECK(found.tokens == expected.tokens);
  for (uint32_t n = 0; n < candidates; ++n) {
    CHECK(found.log_likelihood[n] == doctest::Approx(expected.log_likelihood[n]).epsilon(1e-4));
    CHECK(found.forced_log_likelihood[n] == doctest::Approx(expected.forced_log_likelihood[n]).epsilon(1e-4));
  }
  CHECK(decoder.decode(there, numbers(candidates)).tokens == found.tokens);
}

std::vector<float> logits_of(Transformer& model, CacheType cache, size_t* bytes = nullptr) {
  DecodeRequest request = request_for(model.config());
  request.prefill_forced = false;
  request.cache = cache;
  for (int cell = 0; cell < model.config().cells(); ++cell)
    request.forced.push_back(7 * cell % model.config().image_vocab);
  Context context(model.device());
  Decoder decoder(context, model, request);
  std::vector<float> all;
  Decoder::Hooks hooks;
  hooks.logits = [&](int32_t, const Tensor& logits) {
    const auto more = logits.to_floats();
    all.insert(all.end(), more.begin(), more.end());
  };
  decoder.decode(context, numbers(12), hooks);
  if (bytes) *bytes = decoder.cache_use().bytes;
  return all;
}

double relative_error(const std::vector<float>& found, const std::vector<float>& expected) {
  REQUIRE(found.size() == expected.size());
  double difference = 0, norm = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    difference += std::pow(double{found[i]} - expected[i], 2);
    norm += std::pow(double{expected[i]}, 2);
  }
  return std::sqrt(difference / norm);
}

void check_storage_types(Device& cuda) {
  const auto cpu = make_cpu_device(1);
  Transformer model = small_model(*cpu, small_config("paper", 4));
  Transformer copy = on_device(cuda, model), rounded = on_device(cuda, model, DType::bf16);
  size_t wide = 0, narrow = 0;
  const auto expected = logits_of(model, CacheType::automatic);
  CHECK(relative_error(logits_of(copy, CacheType::automatic, &wide), expected) < 1e-5);
  CHECK(relative_error(logits_of(copy, CacheType::bf16), expected) < 1e-2);
  CHECK(relative_error(logits_of(copy, CacheType::e4m3, &narrow), expected) < 5e-2);
  CHECK(relative_error(logits_of(rounded, CacheType::automatic), expected) < 3e-2);
  CHECK(narrow < wide / 2);  // with the scales, which weigh much at heads of 8
}

// Between two reports of progress the host launches and does nothing else.
void check_token_loop(Device& cuda) {
  const auto cpu = make_cpu_device(1);
  TransformerConfig config = small_config("paper", 4);
  config.grid = 7;
  Transformer model = small_model(*cpu, config);
  const Transformer copy = on_device(cuda, model);
  Context context(cuda);
  Decoder decoder(context, copy, request_for(config));
  std::vector<CudaActivity> seen;
  Decoder::Hooks hooks;
  hooks.progress = [&](int32_t) {
    seen.push_back(cuda_activity(cuda));
    return true;
  };
  decoder.decode(context, numbers(9), hooks);
  REQUIRE(seen.size() == 4);
  for (size_t i = 1; i < seen.size(); ++i) {
    CHECK(seen[i].driver_allocations == seen[i - 1].driver_allocations);
    CHECK(seen[i].uploads == seen[i - 1].uploads);
    CHECK(seen[i].downloads == seen[i - 1].downloads);
    CHECK(seen[i].waits == seen[i - 1].waits + 1);
  }
}

std::vector<double> losses_of(Device& device, DType compute, bool checkpoint_blocks) {
  const auto cpu = make_cpu_device(1);
  const TransformerConfig config = small_config("paper", 4);
  Transformer source = small_model(*cpu, config);
  Transformer model = on_device(device, source);
  const TokenBatch batch = small_batch(device, config, 3);
  OptimizerOptions options;
  options.clip_norm = 1.0f;
  Optimizer optimizer(model, options);
  std::vector<double> losses;
  for (int step = 0; step < 8; ++step) {
    Tape tape;
    optimizer.watch(tape);
    Context context(device, &tape);
    context.training = true;
    context.compute = compute;
    const Loss loss = compute_loss(context, model, batch, {true, checkpoint_blocks});
    losses.push_back(loss.total.item());
    tape.backward(loss.total);
    optimizer.accumulate(tape);
    optimizer.step(1e-2f);
  }
  return losses;
}

void check_training(Device& cuda) {
  const auto cpu = make_cpu_device(1);
  const auto expected = losses_of(*cpu, DType::f32, false);
  REQUIRE(expected.back() < 0.9 * expected.front());
  for (const bool checkpoint_blocks : {false, true}) {
    const auto whole = losses_of(cuda, DType::f32, checkpoint_blocks),
               rounded = losses_of(cuda, DType::bf16, checkpoint_blocks);
    for (size_t step = 0; step < expected.size(); ++step) {
      CHECK(whole[step] == doctest::Approx(expected[step]).epsilon(1e-4));
      CHECK(rounded[step] == doctest::Approx(expected[step]).epsilon(1e-2));
    }
  }
}

}  // namespace

TEST_CASE("CUDA: decoding and training of a transformer are the CPU's") {
  if (cuda_device_count() == 0) {
    MESSAGE("skipped: 9 CUDA checks, no usable GPU");
    return;
  }
  const auto cuda = make_cuda_device(0);
  for (const std::string& schedule : every_schedule()) check_tokens(*cuda, schedule, 3, 1.0f);
  check_tokens(*cuda, "paper", 12, 2.0f);
  check_token_loop(*cuda);
  check_storage_types(*cuda);
  check_training(*cuda);
}

}  // namespace dalle1::test
