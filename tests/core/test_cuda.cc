// What only a GPU can show: agreement with the CPU kernels beyond the op table, equal bits on a second run,
// and a token loop that neither takes memory from the driver nor waits more than once a step.
#include <functional>

#include "core/cuda/activity.h"
#include "tests/core/device_work.h"
#include "tests/core/op_cases.h"
#include "tests/support/cuda_check.h"

namespace dalle1::test {
namespace {

using Work = std::function<Values(Device&, DType)>;

// f32 against the CPU, bf16 against it to 1e-2, and each against its own second run, bit for bit.
void check_against_cpu(const Work& work) {
  const auto cpu = make_cpu_device(2), cuda = make_cuda_device(0);
  const Values expected = work(*cpu, DType::f32), found = work(*cuda, DType::f32);
  check_close("f32", found, expected, 1e-5);
  CHECK(found == work(*cuda, DType::f32));
  const Values rounded = work(*cuda, DType::bf16);
  check_close("bf16", rounded, expected, 1e-2);
  CHECK(rounded == work(*cuda, DType::bf16));
}

AttentionPattern small(PatternKind kind) {
  AttentionPattern pattern;
  pattern.kind = kind;
  pattern.text = 21;
  pattern.grid = 8;
  pattern.kernel = kind == PatternKind::conv ? 5 : 0;
  return pattern;
}

const AttentionPattern full = AttentionPattern::full(45), causal = AttentionPattern::causal(70),
                       dense = small(PatternKind::dense), row = small(PatternKind::row),
                       column = small(PatternKind::column), conv = small(PatternKind::conv);

Values attention_work(Device& device, DType dtype, const AttentionPattern& pattern, int64_t size) {
  const Shape shape{2, pattern.length(), 3, size};
  const Tensor q = random_tensor(device, shape, 1, dtype), k = random_tensor(device, shape, 2, dtype),
               v = random_tensor(device, shape, 3, dtype), dy = random_tensor(device, shape, 4, dtype);
  Tensor y = Tensor::empty(device, shape, dtype), logsumexp = Tensor::empty(device, {2, 3, shape[1]});
  Tensor dq = Tensor::empty(device, shape, dtype), dk = Tensor::empty(device, shape, dtype),
         dv = Tensor::empty(device, shape, dtype);
  device.kernels().attention({q, k, v, {pattern, 0.3f}, y, logsumexp});
  device.kernels().attention_backward({q, k, v, y, logsumexp, dy, {pattern, 0.3f}, dq, dk, dv});
  Values values;
  for (const Tensor& x : {y, logsumexp, dq, dk, dv}) append(values, x);
  return values;
}

Values cached_work(Device& device, DType dtype, int64_t candidates, int64_t size) {
  const int64_t heads = 3, prefix = 70, slots = 40;
  const Tensor q = random_tensor(device, {candidates, heads, size}, 1, dtype);
  const Tensor prefix_keys = random_tensor(device, {heads, prefix, size}, 2, dtype);
  const Tensor prefix_values = random_tensor(device, {heads, prefix, size}, 3, dtype);
  Tensor keys = random_tensor(device, {candidates, heads, slots, size}, 4, dtype);
  const Tensor values = random_tensor(device, {candidates, heads, slots, size}, 5, dtype);
  device.kernels().cache_store(random_tensor(device, {candidates, heads, size}, 6, dtype), 7, keys);
  const std::vector<KeyRange> ranges{{0, 21}, {33, 64}};
  std::vector<int32_t> visible;
  for (int32_t slot = 39; slot >= 2; slot -= 1) visible.push_back(slot);
  CachedAttention cache{&prefix_keys, &prefix_values, ranges, &keys, &values, visible};
  Values result;
  Tensor y = Tensor::empty(device, q.shape(), dtype);
  device.kernels().cached_attention(q, cache, 0.3f, y);
  append(result, y);
  cache.prefix = {};
  device.kernels().cached_attention(q, cache, 0.3f, y);
  append(result, y);
  cache.prefix = ranges;
  cache.slots = {};
  device.kernels().cached_attention(q, cache, 0.3f, y);
  append(result, y);
  return result;
}

// Thirds of one tensor where they lie, against copies of them.
Values thirds_work(Device& device, DType dtype, bool where_they_lie) {
  constexpr int64_t batch = 2, heads = 3, size = 16, width = heads * size;
  const AttentionPattern pattern = small(PatternKind::row);
  const int64_t length = pattern.length() - 3;
  const Tensor qkv = random_tensor(device, {batch, length, 3 * width}, 1, dtype),
               dy = random_tensor(device, {batch, length, width}, 2, dtype);
  Tensor y = Tensor::empty(device, dy.shape(), dtype),
         logsumexp = Tensor::empty(device, {batch, heads, length}),
         dqkv = Tensor::empty(device, qkv.shape(), dtype);
  Kernels& kernels = device.kernels();
  if (where_they_lie) {
    kernels.self_attention({qkv, {pattern, 0.3f}, y, logsumexp});
    kernels.self_attention_backward({qkv, y, logsumexp, dy, {pattern, 0.3f}, dqkv});
  } else {
    kernels.Kernels::self_attention({qkv, {pattern, 0.3f}, y, logsumexp});
    kernels.Kernels::self_attention_backward({qkv, y, logsumexp, dy, {pattern, 0.3f}, dqkv});
  }
  Values values;
  for (const Tensor& x : {y, logsumexp, dqkv}) append(values, x);
  return values;
}

// The sums of all tensors of a list, with one wait.
void check_sum_squares(Device& cuda) {
  const std::vector<Tensor> all{random_tensor(cuda, {5000}, 1), random_tensor(cuda, {3, 7}, 2),
                                random_tensor(cuda, {1}, 3)};
  double expected = 0;
  for (const Tensor& x : all)
    for (const float value : x.to_floats()) expected += double{value} * value;
  const int64_t before = cuda_activity(cuda).waits;
  CHECK(cuda.kernels().sum_squares(all) == doctest::Approx(expected).epsilon(1e-12));
  CHECK(cuda_activity(cuda).waits == before + 1);
}

struct Drawn {
  std::vector<int64_t> tokens;
  Values log_probs;
};

Drawn draw(Device& device, const SamplingRule& rule) {
  const int64_t rows = 40, classes = 1500;
  Values logits = random_values(rows * classes, 1);
  for (float& logit : logits) logit *= 6.0f;
  std::vector<uint32_t> candidates(rows);
  for (int64_t i = 0; i < rows; ++i) candidates[i] = static_cast<uint32_t>(3 * i);
  Drawn drawn{std::vector<int64_t>(rows), Values(rows)};
  device.kernels().sample({Tensor::from(device, {rows, classes}, logits), rule, 11, candidates, 77,
                           drawn.tokens, drawn.log_probs});
  return drawn;
}

void check_sampling(Device& cuda) {
  const auto cpu = make_cpu_device(2);
  for (const SamplingRule rule :
       {SamplingRule{0.0f}, SamplingRule{1.0f}, SamplingRule{0.7f, 30}, SamplingRule{1.2f, 0, 0.8f},
        SamplingRule{1.0f, 200, 0.5f}, SamplingRule{1.0f, 1}}) {
    const Drawn found = draw(cuda, rule), expected = draw(*cpu, rule);
    CHECK(found.tokens == expected.tokens);
    check_close("log-probabilities", found.log_probs, expected.log_probs, 1e-5);
  }
  const Values bad{0.0f, NAN, 1.0f};
  std::vector<int64_t> token(1);
  Values log_prob(1);
  const std::vector<uint32_t> candidate{4};
  CHECK_THROWS_WITH_AS(
      cuda.kernels().sample({Tensor::from(cuda, {1, 3}, bad), {}, 1, candidate, 9, token, log_prob}),
      "the transformer gave a logit that is not finite at image position 9, candidate 4", Error);
}

// Kernels that add in the CPU's order, or not at all, give its bits.
Values exact_work(Device& device, DType) {
  Kernels& kernels = device.kernels();
  Tensor noise = Tensor::empty(device, {7, 129}), copied = Tensor::zeros(device, {129, 7});
  kernels.uniform({3, Stream::test, 5, 6}, noise);
  kernels.strided_copy({{129, 7}, {1, 129}, {7, 1}}, noise, copied);
  // Ids that repeat within what a block sorts and beyond, one that never comes, and one that often does.
  constexpr int64_t count = 1300, vocabulary = 31, width = 133;
  std::vector<int64_t> numbers(count);
  for (int64_t i = 0; i < count; ++i) numbers[i] = i % 3 ? i * i % vocabulary : 7;
  const Tensor ids = Tensor::from(device, {count}, numbers);
  Tensor rows = Tensor::empty(device, {count, width}), table = random_tensor(device, {vocabulary, width}, 8);
  kernels.embedding(ids, table, rows);
  kernels.embedding_backward(ids, random_tensor(device, {count, width}, 9), table);
  Values values;
  for (const Tensor& x : {noise, copied, rows, table}) append(values, x);
  return values;
}

// The driver refuses this on purpose, which memcheck counts as an error of its own.
void check_refused_memory(Device& cuda) {
  const size_t before = cuda.memory_use().in_use;
  try {
    Tensor::empty(cuda, {int64_t{1} << 44});
    FAIL("64 TiB were granted");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::memory);
    CHECK(std::string(error.what()).find("70368744177664 bytes needed") != std::string::npos);
  }
  CHECK(cuda.memory_use().in_use == before);
}

void check_memory(Device& cuda) {
  { const Tensor x = Tensor::empty(cuda, {12345}); }
  const int64_t allocations = cuda_activity(cuda).driver_allocations;
  { const Tensor x = Tensor::empty(cuda, {12345}); }
  CHECK(cuda_activity(cuda).driver_allocations == allocations);
  const Values large = random_values(10 << 20, 1);  // more than both pinned buffers hold
  CHECK(Tensor::from(cuda, {10 << 20}, large).to_floats() == large);
}

void check_faults(Device& cuda) {
  const std::vector<int64_t> wrong{2, -7, 1};
  const Tensor table = random_tensor(cuda, {5, 8}, 1);
  Tensor y = Tensor::empty(cuda, {3, 8});
  cuda.kernels().embedding(Tensor::from(cuda, {3}, wrong), table, y);
  CHECK_THROWS_WITH_AS(cuda.synchronize(), "embedding: id -7 is outside its table", Error);
  cuda.synchronize();  // reported once
  Tensor gradient = Tensor::zeros(cuda, {5, 8});
  cuda.kernels().embedding_backward(Tensor::from(cuda, {3}, wrong), y, gradient);
  CHECK_THROWS_WITH_AS(cuda.synchronize(), "embedding: id -7 is outside its table", Error);
}

// A decoding step in small: after the first steps nothing comes from the driver, and the host waits once.
void check_token_loop(Device& cuda) {
  constexpr int64_t kCandidates = 33, kHeads = 2, kSize = 16, kWidth = kHeads * kSize, kClasses = 50,
                    kSlots = 40;
  Kernels& kernels = cuda.kernels();
  const Tensor table = random_tensor(cuda, {kClasses, kWidth}, 1),
               w = random_tensor(cuda, {kWidth, kWidth}, 2),
               head = random_tensor(cuda, {kClasses, kWidth}, 3), ones = Tensor::full(cuda, {kWidth}, 1.0f),
               zeros = Tensor::zeros(cuda, {kWidth}), prefix = random_tensor(cuda, {kHeads, 5, kSize}, 4);
  Tensor keys = Tensor::zeros(cuda, {kCandidates, kHeads, kSlots, kSize}), values = keys.clone();
  std::vector<uint32_t> candidates(kCandidates);
  std::vector<int64_t> tokens(kCandidates, 1);
  Values log_probs(kCandidates);
  std::vector<int32_t> slots;
  const std::vector<KeyRange> ranges{{0, 5}};
  CudaActivity warm;
  constexpr int kWarmSteps = 3;
  for (int step = 0; step < kSlots; ++step) {
    if (step == kWarmSteps) warm = cuda_activity(cuda);
    const Tensor ids = Tensor::from(cuda, {kCandidates}, tokens);
    Tensor x = Tensor::empty(cuda, {kCandidates, kWidth}), y = x.clone(),
           logits = Tensor::empty(cuda, {kCandidates, kClasses});
    Tensor mean = Tensor::empty(cuda, {kCandidates}), rstd = Tensor::empty(cuda, {kCandidates});
    kernels.embedding(ids, table, x);
    kernels.layer_norm({x, ones, zeros, 1e-5f, y, mean, rstd});
    kernels.linear({y, w, &zeros, x});
    const Tensor q = x.view({kCandidates, kHeads, kSize});
    Tensor attended = Tensor::empty(cuda, q.shape());
    kernels.cache_store(q, step, keys);
    kernels.cache_store(q, step, values);
    slots.push_back(step);
    kernels.cached_attention(q, {&prefix, &prefix, ranges, &keys, &values, slots}, 0.25f, attended);
    Tensor flat = attended.view(x.shape());
    kernels.unary(Unary::gelu, flat, y);
    kernels.binary(Binary::add, x, y, y);
    kernels.linear({y, head, nullptr, logits});
    kernels.sample({logits, {}, 1, candidates, static_cast<uint32_t>(step), tokens, log_probs});
  }
  const CudaActivity now = cuda_activity(cuda);
  const int64_t steps = kSlots - kWarmSteps;
  CHECK(now.driver_allocations == warm.driver_allocations);
  CHECK(now.waits - warm.waits == steps);
  CHECK(now.downloads - warm.downloads == steps);
  CHECK(now.uploads - warm.uploads <= 2 * steps);  // the tokens, and what the step sees
}

// No op waits for the GPU, copies to the host or asks the driver for memory once it is warm, and what
// it gives is on the GPU: so none computes anything on the CPU.
void check_ops_stay(Device& cuda) {
  for (const OpCase& c : all_op_cases()) {
    CAPTURE(c.name);
    std::vector<Tensor> inputs;
    for (size_t i = 0; i < c.inputs.size(); ++i) {
      Values values = random_values(c.inputs[i].numel(), static_cast<uint32_t>(i));
      for (float& value : values)
        value = static_cast<float>(c.low + (c.high - c.low) * 0.5 * (double{value} + 1.0));
      inputs.push_back(Tensor::from(cuda, c.inputs[i], values));
    }
    Context context(cuda);
    c.op(context, inputs);
    const CudaActivity before = cuda_activity(cuda);
    const Tensor y = c.op(context, inputs);
    const CudaActivity after = cuda_activity(cuda);
    CHECK(&y.device() == &cuda);
    CHECK(after.driver_allocations == before.driver_allocations);
    CHECK(after.downloads == before.downloads);
    CHECK(after.waits == before.waits);
  }
}

// What is recorded must not depend on the host; a replay follows what lies in device memory.
void check_recording(Device& cuda) {
  Tensor cell = Tensor::zeros(cuda, {1}, DType::i64), x = Tensor::zeros(cuda, {1000});
  const auto step = cuda.capture([&] {
    const Tensor doubled = Tensor::empty(cuda, {1000});
    Tensor sum = doubled;
    cuda.kernels().affine(x, 2.0f, 1.0f, sum);
    cuda.kernels().advance(cell);
    cuda.kernels().affine(doubled, 1.0f, 0.0f, x);
  });
  for (int run = 0; run < 5; ++run) step->launch();
  CHECK(cell.to_ints() == std::vector<int64_t>{5});
  CHECK(x.to_floats() == Values(1000, 31.0f));
  const auto wrong = cuda.capture([&] { x.to_floats(); });
  wrong->launch();
  CHECK_THROWS_WITH_AS(wrong->launch(), "a copy to the host within work that is recorded on the GPU", Error);
  CHECK(x.to_floats() == Values(1000, 31.0f));
}

// A VQGAN attends with one head of all its channels: more shared memory than any other launch takes.
void check_wide_head(Device& cuda) {
  const auto cpu = make_cpu_device(2);
  const auto work = [](Device& device, DType dtype) {
    const Shape shape{1, 40, 1, 512};
    const Tensor q = random_tensor(device, shape, 1, dtype), k = random_tensor(device, shape, 2, dtype),
                 v = random_tensor(device, shape, 3, dtype);
    Tensor y = Tensor::empty(device, shape, dtype), logsumexp = Tensor::empty(device, {1, 1, 40});
    device.kernels().attention({q, k, v, {AttentionPattern::full(40), 0.1f}, y, logsumexp});
    return plain_values(y);
  };
  check_close("bf16", work(cuda, DType::bf16), work(*cpu, DType::f32), 1e-2);
}

constexpr Conv2dGeometry plain{}, padded{1, 1, 1, 1, 1}, halving{2, 0, 0, 1, 1};

void check_attention(const AttentionPattern& pattern, int64_t size) {
  check_against_cpu(
      [&](Device& device, DType dtype) { return attention_work(device, dtype, pattern, size); });
}

void check_cached_attention(int64_t candidates, int64_t size) {
  check_against_cpu(
      [&](Device& device, DType dtype) { return cached_work(device, dtype, candidates, size); });
}

void check_convolution(const Conv2dGeometry& geometry, int64_t in, int64_t kernel) {
  check_against_cpu(
      [&](Device& device, DType dtype) { return convolution_work(device, dtype, geometry, in, kernel); });
}

}  // namespace

CUDA_CHECK("memory") { check_memory(*make_cuda_device(0)); }
CUDA_CHECK("memory that no device has") { check_refused_memory(*make_cuda_device(0)); }
CUDA_CHECK("exact kernels have the bits of the CPU") {
  const auto cpu = make_cpu_device(2), cuda = make_cuda_device(0);
  CHECK(exact_work(*cuda, DType::f32) == exact_work(*cpu, DType::f32));
}
CUDA_CHECK("attention to thirds where they lie has the bits of copies") {
  const auto cuda = make_cuda_device(0);
  for (const DType dtype : {DType::f32, DType::bf16})
    CHECK(thirds_work(*cuda, dtype, true) == thirds_work(*cuda, dtype, false));
}
CUDA_CHECK("sums of squares") { check_sum_squares(*make_cuda_device(0)); }
CUDA_CHECK("faults") { check_faults(*make_cuda_device(0)); }
CUDA_CHECK("sampling") { check_sampling(*make_cuda_device(0)); }
CUDA_CHECK("token loop") { check_token_loop(*make_cuda_device(0)); }
CUDA_CHECK("ops stay on the GPU") { check_ops_stay(*make_cuda_device(0)); }
CUDA_CHECK("recording") { check_recording(*make_cuda_device(0)); }
CUDA_CHECK("wide head") { check_wide_head(*make_cuda_device(0)); }

#define ATTENTION_CHECKS(pattern)                                                         \
  CUDA_CHECK("attention " #pattern " with heads of 5") { check_attention(pattern, 5); }   \
  CUDA_CHECK("attention " #pattern " with heads of 16") { check_attention(pattern, 16); } \
  CUDA_CHECK("attention " #pattern " with heads of 64") { check_attention(pattern, 64); }
ATTENTION_CHECKS(full)
ATTENTION_CHECKS(causal)
ATTENTION_CHECKS(dense)
ATTENTION_CHECKS(row)
ATTENTION_CHECKS(column)
ATTENTION_CHECKS(conv)

#define CACHED_CHECKS(n)                                                                       \
  CUDA_CHECK("cached attention of " #n " with heads of 5") { check_cached_attention(n, 5); }   \
  CUDA_CHECK("cached attention of " #n " with heads of 16") { check_cached_attention(n, 16); } \
  CUDA_CHECK("cached attention of " #n " with heads of 64") { check_cached_attention(n, 64); } \
  CUDA_CHECK("cached attention of " #n " with heads of 128") { check_cached_attention(n, 128); }
CACHED_CHECKS(1)
CACHED_CHECKS(5)
CACHED_CHECKS(40)

#define CONVOLUTION_CHECKS(geometry)                                                                 \
  CUDA_CHECK("convolution " #geometry " 1x1 of 3 channels") { check_convolution(geometry, 3, 1); }   \
  CUDA_CHECK("convolution " #geometry " 3x3 of 3 channels") { check_convolution(geometry, 3, 3); }   \
  CUDA_CHECK("convolution " #geometry " 1x1 of 16 channels") { check_convolution(geometry, 16, 1); } \
  CUDA_CHECK("convolution " #geometry " 3x3 of 16 channels") { check_convolution(geometry, 16, 3); }
CONVOLUTION_CHECKS(plain)
CONVOLUTION_CHECKS(padded)
CONVOLUTION_CHECKS(halving)

TEST_CASE("CUDA: a device that is not there is refused with one line and auto takes the CPU") {
  const int count = cuda_device_count();
  try {
    make_cuda_device(count);
    FAIL("a device beyond the last was made");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::device);
    CHECK(error.exit_code() == 6);
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
  }
  if (count == 0) CHECK(make_device("auto")->is_cpu());
}

}  // namespace dalle1::test
