#include <doctest/doctest.h>

#include <cmath>

#include "core/grad/tape.h"
#include "core/ops/elementwise.h"
#include "core/ops/linear.h"
#include "core/ops/reduce.h"
#include "core/ops/softmax.h"
#include "core/random/philox.h"
#include "tests/core/op_cases.h"
#include "tests/support/cuda_check.h"

namespace dalle1::test {
namespace {

/// What products compute in, and the type of the inputs that are activations.
struct Types {
  DType compute = DType::f32, activations = DType::f32;
  bool narrow() const { return compute == DType::bf16 || activations == DType::bf16; }
};

/// Normwise and relative.
struct Tolerance {
  double value, gradient;
};
Tolerance tolerance(const Types& types) {
  return types.narrow() ? Tolerance{1e-2, 2e-2} : Tolerance{1e-5, 1e-4};
}

std::vector<HostTensor> random_inputs(const OpCase& c, uint64_t seed, const Types& types = {}) {
  std::vector<HostTensor> inputs;
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    RandomStream random(seed, Stream::test, static_cast<uint32_t>(i));
    HostTensor input{c.inputs[i], {}};
    for (int64_t n = 0; n < input.shape.numel(); ++n) {
      const double value = c.low + (c.high - c.low) * random.uniform();
      // Central differences must not step over a kink at 0; f32 and double must see the same value.
      const auto wide = static_cast<float>(std::abs(value) < 0.01 ? 0.05 : value);
      const bool narrow = types.activations == DType::bf16 && static_cast<int>(i) < c.activations;
      input.values.push_back(narrow ? bf16_to_f32(f32_to_bf16(wide)) : wide);
    }
    inputs.push_back(std::move(input));
  }
  return inputs;
}

std::vector<Tensor> on_device(Device& device, const OpCase& c, const std::vector<HostTensor>& inputs,
                              const Types& types = {}) {
  std::vector<Tensor> tensors;
  for (const HostTensor& input : inputs) {
    const bool activation = static_cast<int>(tensors.size()) < c.activations;
    const std::vector<float> values(input.values.begin(), input.values.end());
    tensors.push_back(
        Tensor::from(device, input.shape, values).to(activation ? types.activations : DType::f32));
  }
  return tensors;
}

double normwise_error(const std::vector<float>& found, const std::vector<double>& expected) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    if (!std::isfinite(found[i])) return INFINITY;
    difference += std::pow(found[i] - expected[i], 2);
    norm += std::pow(expected[i], 2);
  }
  return std::sqrt(difference) / std::max(std::sqrt(norm), 1e-12);
}

// A fixed weighting turns any output into one number, so that its gradient exercises every output. It is
// exact in bf16, the type in which the gradient of such an output arrives.
std::vector<double> output_weights(int64_t n) {
  std::vector<double> weights(n);
  for (int64_t i = 0; i < n; ++i)
    weights[i] = bf16_to_f32(f32_to_bf16(static_cast<float>(std::cos(0.7 * static_cast<double>(i) + 0.3))));
  return weights;
}

double weighted(const OpCase& c, const std::vector<HostTensor>& inputs, const std::vector<double>& weights) {
  const HostTensor y = c.reference(inputs);
  double sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) sum += weights[i] * y.values[i];
  return sum;
}

void check_value(Device& device, const OpCase& c, const Types& types) {
  const auto inputs = random_inputs(c, 1, types);
  const HostTensor expected = c.reference(inputs);
  Tape tape;
  const auto tensors = on_device(device, c, inputs, types);
  for (const Tensor& tensor : tensors) tape.watch(tensor);
  for (Tape* used : {static_cast<Tape*>(nullptr), &tape}) {
    Context context(device, used);
    const Tensor y = c.op(context, tensors);
    REQUIRE(y.shape() == expected.shape);
    CHECK(normwise_error(y.to_floats(), expected.values) < tolerance(types).value);
  }
}

void check_gradient(Device& device, const OpCase& c, const Types& types) {
  auto inputs = random_inputs(c, 2, types);
  const auto tensors = on_device(device, c, inputs, types);
  Tape tape;
  for (const Tensor& tensor : tensors) tape.watch(tensor);
  Context context(device, &tape);
  const Tensor y = c.op(context, tensors);
  const auto weights = output_weights(y.numel());
  tape.backward(y, Tensor::from(device, y.shape(), std::vector<float>(weights.begin(), weights.end())));
  const size_t count = c.differentiable < 0 ? inputs.size() : c.differentiable;
  for (size_t i = 0; i < count; ++i) {
    CAPTURE(i);
    const Tensor gradient = tape.gradient(tensors[i]);
    REQUIRE(gradient.defined());
    REQUIRE(gradient.shape() == inputs[i].shape);
    std::vector<double> numeric(inputs[i].values.size());
    constexpr double step = 1e-5;
    for (size_t n = 0; n < numeric.size(); ++n) {
      const double kept = inputs[i].values[n];
      inputs[i].values[n] = kept + step;
      const double above = weighted(c, inputs, weights);
      inputs[i].values[n] = kept - step;
      const double below = weighted(c, inputs, weights);
      inputs[i].values[n] = kept;
      numeric[n] = (above - below) / (2 * step);
    }
    CHECK(normwise_error(gradient.to_floats(), numeric) < tolerance(types).gradient);
  }
}

void for_each_case(Device& device, const std::vector<OpCase>& cases,
                   const std::function<void(Device&, const OpCase&, const Types&)>& check,
                   const Types& types = {}) {
  for (const OpCase& c : cases) {
    CAPTURE(c.name);
    try {
      check(device, c, types);
    } catch (const Error& error) {  // the others are looked at all the same
      FAIL_CHECK(error.what());
    }
  }
}

void check_both(Device& device, const OpCase& c, const Types& types) {
  check_value(device, c, types);
  check_gradient(device, c, types);
}

std::shared_ptr<Device> poisoned() { return make_cpu_device(2, /*poison=*/true); }

}  // namespace

TEST_CASE("op table: values") { for_each_case(*poisoned(), all_op_cases(), check_value); }
CUDA_CHECK("op table values") { for_each_case(*make_cuda_device(0), all_op_cases(), check_value); }

TEST_CASE("op table: gradients against numeric differences of the double reference") {
  for_each_case(*poisoned(), all_op_cases(), check_gradient);
}
TEST_CASE("op table: values and gradients with products in bf16") {
  const auto device = poisoned();
  if (!device->multiplies_bf16()) {
    MESSAGE("skipped: this processor has no arithmetic of bf16; test_bf16_product.cc has stand-ins");
    return;
  }
  for_each_case(*device, all_op_cases(DType::bf16), check_both, {.compute = DType::bf16});
}
TEST_CASE("op table: the CPU lacks activations in bf16") {
  MESSAGE("not on a CPU: " << bf16_op_cases().size() << " of " << all_op_cases().size()
                           << " cases with activations in bf16, which are for GPUs");
  for (const OpCase& c : bf16_op_cases()) CHECK(c.activations <= static_cast<int>(c.inputs.size()));
}
CUDA_CHECK("op table with activations in bf16") {
  for_each_case(*make_cuda_device(0), bf16_op_cases(), check_both, {.activations = DType::bf16});
}
CUDA_CHECK("op table gradients") { for_each_case(*make_cuda_device(0), all_op_cases(), check_gradient); }

TEST_CASE("op table: random shapes") { for_each_case(*poisoned(), random_shape_cases(12), check_both); }
CUDA_CHECK("op table random shapes") {
  for_each_case(*make_cuda_device(0), random_shape_cases(12), check_both);
}

TEST_CASE("results do not depend on the number of threads") {
  const auto one = make_cpu_device(1), two = make_cpu_device(2);
  for (const OpCase& c : all_op_cases()) {
    CAPTURE(c.name);
    const auto inputs = random_inputs(c, 3);
    Context first(*one), second(*two);
    CHECK(c.op(first, on_device(*one, c, inputs)).to_floats() ==
          c.op(second, on_device(*two, c, inputs)).to_floats());
  }
}

TEST_CASE("an activation's name is its op") {
  const auto device = make_cpu_device(1);
  Context context(*device);
  const Tensor x = Tensor::from(*device, {3}, std::vector<float>{-1.0f, 0.5f, 2.0f});
  const std::pair<const char*, Tensor> named[] = {
      {"relu", ops::unary(context, Unary::relu, x)},
      {"relu_squared", ops::unary(context, Unary::relu_squared, x)},
      {"gelu", ops::unary(context, Unary::gelu, x)},
      {"gelu_tanh", ops::unary(context, Unary::gelu_tanh, x)},
      {"quick_gelu", ops::unary(context, Unary::quick_gelu, x)},
      {"silu", ops::unary(context, Unary::silu, x)}};
  for (const auto& [name, y] : named)
    CHECK(ops::unary(context, ops::activation_from_name(name), x).to_floats() == y.to_floats());
  CHECK_THROWS_WITH_AS(ops::activation_from_name("swish"), doctest::Contains("use one of relu, "), Error);
}

TEST_CASE("straight-through takes the value of one and the gradient of the other") {
  const auto device = make_cpu_device(1);
  Tape tape;
  Context context(*device, &tape);
  const Tensor soft = Tensor::full(*device, {3}, 0.25f), hard = Tensor::full(*device, {3}, 1.0f);
  tape.watch(soft);
  const Tensor y = ops::straight_through(context, hard, soft);
  CHECK(y.to_floats() == std::vector<float>(3, 1.0f));
  tape.backward(ops::sum(context, y));
  CHECK(tape.gradient(soft).to_floats() == std::vector<float>(3, 1.0f));
}

TEST_CASE("a cast rounds, and its gradient comes back in the type that was cast") {
  const auto device = make_cpu_device(1);
  Tape tape;
  Context context(*device, &tape);
  const Tensor x = Tensor::from(*device, {2}, std::vector<float>{1.0f + 1.0f / 1024, -3.0f});
  tape.watch(x);
  CHECK(ops::cast(context, x, DType::f32).id() == x.id());
  const Tensor rounded = ops::cast(context, x, DType::bf16), back = ops::cast(context, rounded, DType::f32);
  CHECK(rounded.dtype() == DType::bf16);
  CHECK(back.to_floats() == std::vector<float>{1.0f, -3.0f});
  tape.backward(back, Tensor::from(*device, {2}, std::vector<float>{0.5f, 2.0f}));
  CHECK(tape.gradient(x).dtype() == DType::f32);
  CHECK(tape.gradient(x).to_floats() == std::vector<float>{0.5f, 2.0f});
}

TEST_CASE("gumbel-softmax sums to one, repeats with its counter and changes with the step") {
  const auto device = make_cpu_device(2);
  Context context(*device);
  context.seed = 7;
  const Tensor logits = Tensor::zeros(*device, {5, 40});
  const auto first = ops::gumbel_softmax(context, logits, 0.5f, 1).to_floats();
  CHECK(first == ops::gumbel_softmax(context, logits, 0.5f, 1).to_floats());
  context.step = 1;
  CHECK(first != ops::gumbel_softmax(context, logits, 0.5f, 1).to_floats());
  double sum = 0;
  for (float value : first) sum += value;
  CHECK(sum == doctest::Approx(5.0));
}

TEST_CASE("gumbel-softmax picks classes in proportion to their probability") {
  const auto device = make_cpu_device(2);
  Context context(*device);
  const int64_t rows = 20000;
  std::vector<float> logits;
  for (int64_t i = 0; i < rows; ++i)
    logits.insert(logits.end(), {std::log(0.2f), std::log(0.3f), std::log(0.5f)});
  const auto y = ops::gumbel_softmax(context, Tensor::from(*device, {rows, 3}, logits), 0.1f, 1).to_floats();
  std::vector<double> share(3);
  for (int64_t i = 0; i < rows; ++i)
    share[std::max_element(&y[i * 3], &y[i * 3] + 3) - &y[i * 3]] += 1.0 / rows;
  CHECK(share[0] == doctest::Approx(0.2).epsilon(0.05));
  CHECK(share[1] == doctest::Approx(0.3).epsilon(0.05));
  CHECK(share[2] == doctest::Approx(0.5).epsilon(0.05));
}

TEST_CASE("gumbel-softmax stays finite where a uniform number rounds to 1") {
  const uint32_t place = 0, step = 1834939;  // the first with seed 0: its third number does
  REQUIRE(unit_interval(random_block(0, Stream::gumbel, place, step, 0)[2]) == 1.0f);
  const auto device = make_cpu_device(1);
  Context context(*device);
  context.step = step;
  const auto y = ops::gumbel_softmax(context, Tensor::zeros(*device, {1, 4}), 1.0f, place).to_floats();
  CHECK(y[2] == doctest::Approx(1.0).epsilon(1e-4));
}

TEST_CASE("dropout is off outside training, keeps the mean in training and drops the stated share") {
  const auto device = make_cpu_device(2);
  Context context(*device);
  const Tensor x = Tensor::full(*device, {100, 100}, 1.0f);
  CHECK(ops::dropout(context, x, 0.3f, 1).id() == x.id());
  context.training = true;
  const auto y = ops::dropout(context, x, 0.3f, 1).to_floats();
  const auto dropped = std::count(y.begin(), y.end(), 0.0f);
  CHECK(dropped / 1e4 == doctest::Approx(0.3).epsilon(0.05));
  CHECK(y != ops::dropout(context, x, 0.3f, 2).to_floats());
}

TEST_CASE("checkpointing gives the gradients of the plain pass, parameters and dropout included") {
  const auto device = make_cpu_device(1);
  RandomStream draws(7, Stream::test);
  const auto normal = [&](const Shape& shape) {
    Tensor drawn = Tensor::empty(*device, shape);
    for (int64_t i = 0; i < drawn.numel(); ++i) drawn.floats()[i] = draws.normal();
    return drawn;
  };
  // Of a size whose sums have other bits in the products of inference with AVX2.
  const Tensor x = normal({20, 52}), w = normal({52, 52}), b = normal({52});
  auto body = [&](Context& c, const Tensor& input) {
    const Tensor inner = ops::linear_fused(c, ops::linear(c, input, w), w, b, {Unary::gelu, &input});
    return ops::dropout(c, inner, 0.4f, 9);
  };
  std::vector<std::vector<float>> gradients;
  for (bool checkpointed : {false, true}) {
    Tape tape;
    tape.watch(x);
    tape.watch(w);
    Context context(*device, &tape);
    context.training = true;
    const Tensor y = checkpointed ? checkpoint(context, x, body) : body(context, x);
    tape.backward(ops::sum(context, ops::square(context, y)));
    gradients.push_back(tape.gradient(x).to_floats());
    gradients.push_back(tape.gradient(w).to_floats());
  }
  CHECK(gradients[0] == gradients[2]);
  CHECK(gradients[1] == gradients[3]);
}

TEST_CASE("errors name the op and the shapes") {
  const auto device = make_cpu_device(1);
  Context context(*device);
  const Tensor x = Tensor::zeros(*device, {2, 3}), w = Tensor::zeros(*device, {4, 5});
  CHECK_THROWS_WITH_AS(ops::linear(context, x, w), "linear: x [2, 3] with weights [4, 5]", Error);
  CHECK_THROWS_WITH_AS(ops::add(context, x, w), "binary op: shapes [2, 3] and [4, 5] do not broadcast",
                       Error);
}

TEST_CASE("work side by side is all done, and its first error is thrown") {
  for (const int threads : {1, 3}) {
    const auto device = make_cpu_device(threads);
    std::vector<int> done(5);
    device->run_parallel(5, [&](int i) { ++done[static_cast<size_t>(i)]; });
    CHECK(done == std::vector<int>(5, 1));
    CHECK_THROWS_WITH_AS(device->run_parallel(2, [](int i) { check(i != 1, ErrorKind::model, "second"); }),
                         "second", Error);
  }
}

TEST_CASE("an allocation that cannot succeed is refused with the bytes needed and available") {
  const auto device = make_cpu_device(1);
  try {
    Tensor::empty(*device, {int64_t{1} << 44});
    FAIL("64 TiB were granted");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::memory);
    CHECK(std::string(error.what()).find("70368744177664 bytes needed") != std::string::npos);
  }
  CHECK(device->memory_use().in_use == 0);
}

TEST_CASE("philox matches the published test vectors") {
  // Random123's known-answer tests for philox4x32-10.
  CHECK(philox4x32({0, 0, 0, 0}, 0) == PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, 0xffffffffffffffff) ==
        PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
}

}  // namespace dalle1::test
