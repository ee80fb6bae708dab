// Decoding and training on a GPU against the CPU.
#include <numeric>

#include "core/cuda/activity.h"
#include "core/train/optimizer.h"
#include "tests/support/cuda_check.h"
#include "tests/transformer/small_models.h"
#include "transformer/decoder.h"

namespace dalle1::test {
namespace {

using namespace transformer;

Transformer on_device(Device& device, Transformer& model, const Precision& precision = {}) {
  Transformer copy(device, model.config(), precision);
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

// More rows than the head takes at once on a GPU.
std::vector<float> head_work(Device& device) {
  constexpr int64_t rows = 16500, width = 3, classes = 5;
  RandomStream draws(3, Stream::test);
  const auto normal = [&](const Shape& shape) {
    std::vector<float> values(shape.numel());
    for (float& value : values) value = draws.normal();
    return Tensor::from(device, shape, values);
  };
  const Tensor hidden = normal({rows, width}), weights = normal({rows});
  const nn::Linear head{normal({classes, width}), normal({classes}), {}, DType::f32, {}};
  std::vector<int64_t> ids(rows);
  for (auto& id : ids) id = draws.below(classes);
  Tape tape;
  for (const Tensor& leaf : {hidden, head.weight, head.bias}) tape.watch(leaf);
  Context context(device, &tape);
  const auto [loss, losses] = head.cross_entropy(context, hidden, Tensor::from(device, {rows}, ids), weights);
  tape.backward(loss);
  std::vector<float> all = losses.to_floats();
  for (const Tensor& leaf : {hidden, head.weight, head.bias}) {
    const auto more = tape.gradient(leaf).to_floats();
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

double largest_relative(const std::vector<double>& found, const std::vector<double>& expected) {
  REQUIRE(found.size() == expected.size());
  double largest = 0;
  for (size_t i = 0; i < found.size(); ++i)
    largest = std::max(largest, std::abs(found[i] - expected[i]) / (1.0 + std::abs(expected[i])));
  return largest;
}

// Forced first cells, forced cells in the middle, guidance and cuts: all that a recorded step must follow.
void check_tokens(TransformerConfig config, uint32_t candidates, float guidance) {
  const auto cpu = make_cpu_device(1), gpu = make_cuda_device(0);
  Device& cuda = *gpu;
  config.grid = 5;
  Transformer model = small_model(*cpu, config);
  const Transformer copy = on_device(cuda, model);
  DecodeRequest request = request_for(config);
  request.sampling.guidance = guidance;
  request.sampling.rule.top_k = 7;
  request.forced.assign(config.cells(), -1);
  for (const int cell : {0, 1, 2, 9, 10, 17}) request.forced[cell] = cell % config.image_vocab;
  Context here(*cpu), there(cuda);
  const Decoded expected = Decoder(here, model, request).decode(numbers(candidates));
  Decoder decoder(there, copy, request);
  const Decoded found = decoder.decode(numbers(candidates));
  CHECK(found.tokens == expected.tokens);
  check_figure("log-likelihoods", largest_relative(found.log_likelihood, expected.log_likelihood), 1e-4);
  check_figure("those of forced cells",
               largest_relative(found.forced_log_likelihood, expected.forced_log_likelihood), 1e-4);
  CHECK(decoder.decode(numbers(candidates)).tokens == found.tokens);
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
  decoder.decode(numbers(12), hooks);
  if (bytes) *bytes = decoder.cache_use().bytes;
  return all;
}

void check_storage_types(Device& cuda) {
  const auto cpu = make_cpu_device(1);
  Transformer model = small_model(*cpu, small_config("paper", 4));
  Transformer copy = on_device(cuda, model), rounded = on_device(cuda, model, DType::bf16);
  size_t wide = 0, half = 0, narrow = 0, mixed = 0;
  const auto expected = logits_of(model, CacheType::automatic);
  check_close("f32", logits_of(copy, CacheType::automatic, &wide), expected, 1e-5);
  check_close("f32 with a bf16 cache", logits_of(copy, CacheType::bf16, &half), expected, 1e-2);
  check_close("f32 with an fp8 cache", logits_of(copy, CacheType::e4m3, &narrow), expected, 5e-2);
  check_close("f32 with a mixed cache", logits_of(copy, CacheType::mixed, &mixed), expected, 5e-2);
  check_close("bf16", logits_of(rounded, CacheType::automatic), expected, 3e-2);
  CHECK(narrow < wide / 2);  // with the scales, which weigh much at heads of 8
  CHECK(narrow < mixed);
  CHECK(mixed < half);
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
  decoder.decode(numbers(9), hooks);
  REQUIRE(seen.size() == 4);
  for (size_t i = 1; i < seen.size(); ++i) {
    CHECK(seen[i].driver_allocations == seen[i - 1].driver_allocations);
    CHECK(seen[i].uploads == seen[i - 1].uploads);
    CHECK(seen[i].downloads == seen[i - 1].downloads);
    CHECK(seen[i].waits == seen[i - 1].waits + 1);
  }
}

std::vector<double> losses_of(Device& device, const TransformerConfig& config, DType compute,
                              bool checkpoint_blocks) {
  const auto cpu = make_cpu_device(1);
  Transformer source = small_model(*cpu, config);
  Transformer model = on_device(device, source, Precision::training(compute, device));
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
    const Loss loss = compute_loss(context, model, batch, {true, checkpoint_blocks});
    losses.push_back(loss.total.item());
    tape.backward(loss.total);
    optimizer.accumulate(tape);
    optimizer.step(2e-3f);  // larger ones multiply bf16's roundings, whose gradients differ in signs
  }
  return losses;
}

void check_training(DType compute, bool checkpoint_blocks, double tolerance,
                    const TransformerConfig& config = small_config("paper", 4)) {
  const auto cpu = make_cpu_device(1), cuda = make_cuda_device(0);
  const auto expected = losses_of(*cpu, config, DType::f32, false);
  REQUIRE(expected.back() < 0.9 * expected.front());
  const auto found = losses_of(*cuda, config, compute, checkpoint_blocks);
  check_figure("losses", largest_relative(found, expected), tolerance);
}

}  // namespace

CUDA_CHECK("tokens of row layers") { check_tokens(small_config("row"), 3, 1.0f); }
CUDA_CHECK("tokens of column layers") { check_tokens(small_config("column"), 3, 1.0f); }
CUDA_CHECK("tokens of conv layers") { check_tokens(small_config("conv"), 3, 1.0f); }
CUDA_CHECK("tokens of dense layers") { check_tokens(small_config("dense"), 3, 1.0f); }
CUDA_CHECK("tokens of the paper's layers") { check_tokens(small_config("paper", 4), 3, 1.0f); }
CUDA_CHECK("tokens of listed layers") { check_tokens(small_config("list"), 3, 1.0f); }
CUDA_CHECK("tokens of many candidates with guidance") { check_tokens(small_config("paper", 4), 12, 2.0f); }
CUDA_CHECK("tokens of all that DALLE-pytorch has") {
  check_tokens(dalle_pytorch_config("paper", 4), 3, 2.0f);
}
CUDA_CHECK("token loop of a transformer") { check_token_loop(*make_cuda_device(0)); }
CUDA_CHECK("storage types of decoding") { check_storage_types(*make_cuda_device(0)); }
CUDA_CHECK("loss of the head in pieces") {
  const auto cpu = make_cpu_device(1), cuda = make_cuda_device(0);
  check_close("losses and gradients", head_work(*cuda), head_work(*cpu), 1e-5);
}
CUDA_CHECK("training in f32") { check_training(DType::f32, false, 1e-4); }
CUDA_CHECK("training in f32 with checkpointed blocks") { check_training(DType::f32, true, 1e-4); }
CUDA_CHECK("training in f32 of all that DALLE-pytorch has") {
  check_training(DType::f32, true, 1e-4, dalle_pytorch_config("paper", 4));
}
CUDA_CHECK("training in bf16 of all that DALLE-pytorch has") {
  check_training(DType::bf16, false, 1e-2, dalle_pytorch_config("paper", 4));
}
CUDA_CHECK("training in bf16") { check_training(DType::bf16, false, 1e-2); }
CUDA_CHECK("training in bf16 with checkpointed blocks") { check_training(DType::bf16, true, 1e-2); }

}  // namespace dalle1::test
