#include "tests/core/op_cases.h"

#include <cmath>
#include <map>
#include <numbers>

#include "core/ops/attention.h"
#include "core/ops/elementwise.h"
#include "core/ops/embedding.h"
#include "core/ops/linear.h"
#include "core/ops/movement.h"
#include "core/ops/reduce.h"
#include "core/ops/softmax.h"
#include "core/random/philox.h"
#include "tests/core/op_cases_parts.h"

namespace dalle1::test {
namespace {

HostTensor map(const HostTensor& x, const std::function<double(double)>& f) {
  HostTensor y = x;
  for (double& value : y.values) value = f(value);
  return y;
}

OpCase unary_case(const std::string& name, Unary op, const std::function<double(double)>& f,
                  double low = -2.0, double high = 2.0) {
  return {name,
          {{3, 67}},
          [op](Context& c, const Tensors& x) { return ops::unary(c, op, x[0]); },
          [f](const Inputs& x) { return map(x[0], f); },
          low,
          high};
}

// Index of a broadcast operand for element `i` of a result of `shape`.
int64_t broadcast_index(const Shape& operand, const Shape& shape, int64_t i) {
  int64_t index = 0, stride = 1;
  for (int axis = 1; axis <= shape.rank(); ++axis) {
    const int64_t at = i % shape[-axis];
    i /= shape[-axis];
    if (axis <= operand.rank()) {
      if (operand[-axis] != 1) index += at * stride;
      stride *= operand[-axis];
    }
  }
  return index;
}

OpCase binary_case(const std::string& name, Tensor (*op)(Context&, const Tensor&, const Tensor&), Shape a,
                   Shape b, const std::function<double(double, double)>& f, double low = -1.0,
                   double high = 1.0) {
  return {fmt::format("{} {} {}", name, a, b),
          {a, b},
          [op](Context& c, const Tensors& x) { return op(c, x[0], x[1]); },
          [f](const Inputs& x) {
            HostTensor y = zeros(broadcast(x[0].shape, x[1].shape, "reference"));
            for (int64_t i = 0; i < y.shape.numel(); ++i) {
              y[i] = f(x[0][broadcast_index(x[0].shape, y.shape, i)],
                       x[1][broadcast_index(x[1].shape, y.shape, i)]);
            }
            return y;
          },
          low,
          high};
}

HostTensor linear_reference(const HostTensor& x, const HostTensor& w, const HostTensor* bias) {
  const int64_t inputs = w.shape[1], outputs = w.shape[0], rows = x.shape.numel() / inputs;
  Shape shape = x.shape;
  shape[-1] = outputs;
  HostTensor y = zeros(shape);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t n = 0; n < outputs; ++n) {
      double sum = bias ? (*bias)[n] : 0.0;
      for (int64_t k = 0; k < inputs; ++k) sum += x[r * inputs + k] * w[n * inputs + k];
      y[r * outputs + n] = sum;
    }
  }
  return y;
}

OpCase linear_case(int64_t rows, int64_t inputs, int64_t outputs, bool bias, DType compute = DType::f32) {
  std::vector<Shape> shapes{{rows, inputs}, {outputs, inputs}};
  if (bias) shapes.push_back({outputs});
  return {fmt::format("linear {}x{}x{}{}", rows, inputs, outputs, bias ? " bias" : ""), shapes,
          [=](Context& c, const Tensors& x) {
            return ops::linear(c, x[0], x[1], bias ? x[2] : Tensor(), compute);
          },
          [bias](const Inputs& x) { return linear_reference(x[0], x[1], bias ? &x[2] : nullptr); }};
}

OpCase linear_fused_case(DType compute) {
  return {"linear_fused",
          {{5, 7}, {9, 7}, {9}, {5, 9}},
          [compute](Context& c, const Tensors& x) {
            return ops::linear_fused(c, x[0], x[1], x[2], {.activation = Unary::silu, .residual = &x[3]}, {},
                                     compute);
          },
          [](const Inputs& x) {
            HostTensor y = linear_reference(x[0], x[1], &x[2]);
            for (int64_t i = 0; i < y.shape.numel(); ++i) y[i] = x[3][i] + y[i] / (1 + std::exp(-y[i]));
            return y;
          }};
}

OpCase matmul_case(bool ta, bool tb, DType compute) {
  const int64_t batch = 2, m = 5, k = 7, n = 3;
  return {fmt::format("matmul{}{}", ta ? " a^T" : "", tb ? " b^T" : ""),
          {ta ? Shape{batch, k, m} : Shape{batch, m, k}, tb ? Shape{batch, n, k} : Shape{batch, k, n}},
          [=](Context& c, const Tensors& x) { return ops::matmul(c, x[0], x[1], ta, tb, compute); },
          [=](const Inputs& x) {
            HostTensor y = zeros({batch, m, n});
            for (int64_t b = 0; b < batch; ++b) {
              for (int64_t i = 0; i < m; ++i) {
                for (int64_t j = 0; j < n; ++j) {
                  for (int64_t p = 0; p < k; ++p) {
                    y[(b * m + i) * n + j] += x[0][b * m * k + (ta ? p * m + i : i * k + p)] *
                                              x[1][b * k * n + (tb ? j * k + p : p * n + j)];
                  }
                }
              }
            }
            return y;
          }};
}

HostTensor softmax_reference(const HostTensor& x) {
  HostTensor y = x;
  const int64_t columns = x.shape[-1];
  for (int64_t r = 0; r < x.shape.numel() / columns; ++r) {
    double sum = 0;
    for (int64_t i = 0; i < columns; ++i) sum += y[r * columns + i] = std::exp(x[r * columns + i]);
    for (int64_t i = 0; i < columns; ++i) y[r * columns + i] /= sum;
  }
  return y;
}

// A training step with numbers that differ, so that none can stand in for another.
Context noisy(const Context& c) {
  Context context = c;
  context.training = true;
  context.seed = 5;
  context.step = 6;
  return context;
}
constexpr uint32_t kNoisePlace = 7;

// The uniform numbers that an op with noise draws in noisy() at kNoisePlace.
std::vector<double> drawn_noise(Stream stream, int64_t n) {
  RandomStream random(5, stream, kNoisePlace, 6);
  std::vector<double> noise(n);
  for (double& u : noise) u = random.uniform();
  return noise;
}

OpCase gumbel_softmax_case() {
  const Shape shape{3, 67};
  return {"gumbel_softmax",
          {shape},
          [](Context& c, const Tensors& x) {
            Context context = noisy(c);
            return ops::gumbel_softmax(context, x[0], 0.75f, kNoisePlace);
          },
          [noise = drawn_noise(Stream::gumbel, shape.numel())](const Inputs& x) {
            HostTensor y = x[0];
            for (int64_t i = 0; i < y.shape.numel(); ++i)
              y[i] = (x[0][i] - std::log(0x1p-25 - std::log(noise[i]))) / 0.75;
            return softmax_reference(y);
          }};
}

OpCase dropout_case() {
  const Shape shape{3, 67};
  const float p = 0.3f;
  return {"dropout",
          {shape},
          [p](Context& c, const Tensors& x) {
            Context context = noisy(c);
            return ops::dropout(context, x[0], p, kNoisePlace);
          },
          [p, noise = drawn_noise(Stream::dropout, shape.numel())](const Inputs& x) {
            HostTensor y = x[0];
            for (int64_t i = 0; i < y.shape.numel(); ++i) y[i] = noise[i] < p ? 0.0 : x[0][i] / (1.0 - p);
            return y;
          }};
}

HostTensor attention_reference(const Inputs& x, const AttentionPattern& pattern, double scale) {
  const int64_t length = x[0].shape[1], heads = x[0].shape[2], size = x[0].shape[3];
  HostTensor y = zeros(x[0].shape);
  for (int64_t i = 0; i < x[0].shape.numel() / size; ++i) {  // every picture, position and head
    const int64_t head = i % heads, query = i / heads % length, first = i / heads - query;
    double total = 0;
    for (int64_t key = 0; key < length; ++key) {
      if (!pattern.sees(static_cast<int32_t>(query), static_cast<int32_t>(key))) continue;
      const int64_t at = ((first + key) * heads + head) * size;
      double score = 0;
      for (int64_t d = 0; d < size; ++d) score += scale * x[0][i * size + d] * x[1][at + d];
      total += std::exp(score);
      for (int64_t d = 0; d < size; ++d) y[i * size + d] += std::exp(score) * x[2][at + d];
    }
    for (int64_t d = 0; d < size; ++d) y[i * size + d] /= total;
  }
  return y;
}

OpCase attention_case(DType compute) {
  const Shape shape{2, 11, 2, 5};
  AttentionPattern pattern;
  pattern.kind = PatternKind::row;
  pattern.text = 2;
  pattern.grid = 3;
  return {"attention",
          {shape, shape, shape},
          [=](Context& c, const Tensors& x) {
            return ops::attention(c, x[0], x[1], x[2], pattern, 0.75f, compute);
          },
          [=](const Inputs& x) { return attention_reference(x, pattern, 0.75); }};
}

OpCase cross_entropy_case() {
  const std::vector<int64_t> targets{0, 70, 3, 3};
  const std::vector<float> weights{1.0f, 0.5f, 0.0f, 2.0f};
  return {"cross_entropy",
          {{4, 71}},
          [=](Context& c, const Tensors& x) {
            return ops::cross_entropy(c, x[0], Tensor::from(*c.device, {4}, targets),
                                      Tensor::from(*c.device, {4}, weights));
          },
          [=](const Inputs& x) {
            HostTensor y = zeros({1});
            const HostTensor p = softmax_reference(x[0]);
            for (int64_t r = 0; r < 4; ++r) y[0] -= weights[r] * std::log(p[r * 71 + targets[r]]);
            return y;
          }};
}

OpCase embedding_case() {
  const std::vector<int64_t> ids{2, 0, 2, 4, 2, 1};
  return {"embedding",
          {{5, 3}},
          [=](Context& c, const Tensors& x) {
            return ops::embedding(c, Tensor::from(*c.device, {2, 3}, ids), x[0]);
          },
          [=](const Inputs& x) {
            HostTensor y = zeros({2, 3, 3});
            for (int64_t r = 0; r < 6; ++r) {
              for (int64_t i = 0; i < 3; ++i) y[r * 3 + i] = x[0][ids[r] * 3 + i];
            }
            return y;
          }};
}

void add_movement_cases(std::vector<OpCase>& cases) {
  cases.push_back({"permute",
                   {{2, 3, 4, 5}},
                   [](Context& c, const Tensors& x) {
                     return ops::permute(c, x[0], {2, 0, 3, 1});
                   },
                   [](const Inputs& x) {
                     HostTensor y = zeros({4, 2, 5, 3});
                     for (int64_t a = 0; a < 2; ++a)
                       for (int64_t b = 0; b < 3; ++b)
                         for (int64_t d = 0; d < 4; ++d)
                           for (int64_t e = 0; e < 5; ++e)
                             y[((d * 2 + a) * 5 + e) * 3 + b] = x[0][((a * 3 + b) * 4 + d) * 5 + e];
                     return y;
                   }});
  cases.push_back({"slice",
                   {{3, 5, 2}},
                   [](Context& c, const Tensors& x) { return ops::slice(c, x[0], 1, 1, 4); },
                   [](const Inputs& x) {
                     HostTensor y = zeros({3, 3, 2});
                     for (int64_t a = 0; a < 3; ++a)
                       for (int64_t i = 0; i < 6; ++i) y[a * 6 + i] = x[0][a * 10 + 2 + i];
                     return y;
                   }});
  cases.push_back({"broadcast_to",
                   {{3, 1, 2}},
                   [](Context& c, const Tensors& x) {
                     return ops::broadcast_to(c, x[0], {3, 5, 2});
                   },
                   [](const Inputs& x) {
                     HostTensor y = zeros({3, 5, 2});
                     for (int64_t a = 0; a < 3; ++a)
                       for (int64_t i = 0; i < 10; ++i) y[a * 10 + i] = x[0][a * 2 + i % 2];
                     return y;
                   }});
  cases.push_back({"concat",
                   {{2, 1, 3}, {2, 4, 3}},
                   [](Context& c, const Tensors& x) {
                     return ops::concat(c, {x[0], x[1], x[0]}, -2);
                   },
                   [](const Inputs& x) {
                     HostTensor y = zeros({2, 6, 3});
                     for (int64_t a = 0; a < 2; ++a)
                       for (int64_t i = 0; i < 3; ++i) {
                         y[a * 18 + i] = y[a * 18 + 15 + i] = x[0][a * 3 + i];
                         for (int64_t j = 0; j < 4; ++j) y[a * 18 + 3 + j * 3 + i] = x[1][a * 12 + j * 3 + i];
                       }
                     return y;
                   }});
  cases.push_back({"reshape twice used",
                   {{6, 2}},
                   [](Context& c, const Tensors& x) {
                     return ops::add(c, ops::reshape(c, x[0], {3, -1}), ops::reshape(c, x[0], {3, 4}));
                   },
                   [](const Inputs& x) {
                     HostTensor y = x[0];
                     for (double& value : y.values) value *= 2;
                     y.shape = {3, 4};
                     return y;
                   }});
}

void add_reduction_cases(std::vector<OpCase>& cases) {
  cases.push_back({"sum over axes 0 and 2",
                   {{3, 4, 5}},
                   [](Context& c, const Tensors& x) {
                     return ops::sum(c, x[0], {0, -1});
                   },
                   [](const Inputs& x) {
                     HostTensor y = zeros({1, 4, 1});
                     for (int64_t i = 0; i < 60; ++i) y[i / 5 % 4] += x[0][i];
                     return y;
                   }});
  cases.push_back({"mean",
                   {{7, 11}},
                   [](Context& c, const Tensors& x) { return ops::mean(c, x[0]); },
                   [](const Inputs& x) {
                     HostTensor y = zeros({1});
                     for (double value : x[0].values) y[0] += value / 77;
                     return y;
                   }});
  cases.push_back({"l2_normalise",
                   {{3, 5}},
                   [](Context& c, const Tensors& x) { return ops::l2_normalise(c, x[0]); },
                   [](const Inputs& x) {
                     HostTensor y = x[0];
                     for (int64_t r = 0; r < 3; ++r) {
                       double squares = 0;
                       for (int64_t i = 0; i < 5; ++i) squares += x[0][r * 5 + i] * x[0][r * 5 + i];
                       for (int64_t i = 0; i < 5; ++i) y[r * 5 + i] /= std::sqrt(squares);
                     }
                     return y;
                   }});
}

}  // namespace

std::vector<OpCase> all_op_cases(DType compute) {
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  std::vector<OpCase> cases{
      unary_case("relu", Unary::relu, [](double x) { return std::max(x, 0.0); }),
      unary_case("gelu", Unary::gelu, [](double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }),
      unary_case("gelu_tanh", Unary::gelu_tanh,
                 [](double x) {
                   return 0.5 * x *
                          (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
                 }),
      unary_case("relu_squared", Unary::relu_squared, [](double x) { return x > 0 ? x * x : 0.0; }),
      unary_case("quick_gelu", Unary::quick_gelu, [=](double x) { return x * sigmoid(1.702 * x); }),
      unary_case("silu", Unary::silu, [=](double x) { return x * sigmoid(x); }),
      unary_case("sigmoid", Unary::sigmoid, sigmoid),
      unary_case("tanh", Unary::tanh, [](double x) { return std::tanh(x); }),
      unary_case("exp", Unary::exp, [](double x) { return std::exp(x); }),
      unary_case(
          "log", Unary::log, [](double x) { return std::log(x); }, 0.1, 3.0),
      unary_case(
          "sqrt", Unary::sqrt, [](double x) { return std::sqrt(x); }, 0.1, 3.0),
      unary_case(
          "rsqrt", Unary::rsqrt, [](double x) { return 1 / std::sqrt(x); }, 0.1, 3.0),
      unary_case("square", Unary::square, [](double x) { return x * x; }),
      unary_case("abs", Unary::abs, [](double x) { return std::abs(x); }),
      binary_case("add", ops::add, {4, 33}, {4, 33}, [](double a, double b) { return a + b; }),
      binary_case("add", ops::add, {2, 3, 5}, {3, 1}, [](double a, double b) { return a + b; }),
      binary_case("sub", ops::sub, {1, 5}, {3, 5}, [](double a, double b) { return a - b; }),
      binary_case("mul", ops::mul, {2, 3, 5}, {5}, [](double a, double b) { return a * b; }),
      binary_case("mul", ops::mul, {1}, {7}, [](double a, double b) { return a * b; }),
      binary_case(
          "div", ops::div, {3, 4}, {3, 1}, [](double a, double b) { return a / b; }, 0.5, 2.0),
      binary_case("maximum", ops::maximum, {5, 13}, {5, 13},
                  [](double a, double b) { return std::max(a, b); }),
      {"affine",
       {{3, 5}},
       [](Context& c, const Tensors& x) { return ops::affine(c, x[0], -1.5f, 0.25f); },
       [](const Inputs& x) { return map(x[0], [](double v) { return -1.5 * v + 0.25; }); }},
      linear_case(1, 1, 1, true, compute),
      linear_case(3, 70, 33, true, compute),
      linear_case(17, 19, 130, false, compute),
      linear_fused_case(compute),
      matmul_case(false, false, compute),
      matmul_case(true, false, compute),
      matmul_case(false, true, compute),
      matmul_case(true, true, compute),
      {"softmax",
       {{3, 67}},
       [](Context& c, const Tensors& x) { return ops::softmax(c, x[0]); },
       [](const Inputs& x) { return softmax_reference(x[0]); }},
      attention_case(compute),
      cross_entropy_case(),
      embedding_case(),
      gumbel_softmax_case(),
      dropout_case()};
  add_movement_cases(cases);
  add_reduction_cases(cases);
  for (const auto& more : {row_op_cases(), picture_op_cases(compute)})
    cases.insert(cases.end(), more.begin(), more.end());
  return cases;
}

std::vector<OpCase> bf16_op_cases() {
  // By the first word of the name.
  static const std::map<std::string, int> activations{
      {"relu", 1},         {"gelu", 1},       {"gelu_tanh", 1},  {"relu_squared", 1}, {"quick_gelu", 1},
      {"silu", 1},         {"sigmoid", 1},    {"tanh", 1},       {"square", 1},       {"add", 2},
      {"sub", 2},          {"mul", 2},        {"affine", 1},     {"linear", 1},       {"matmul", 2},
      {"softmax", 1},      {"attention", 3},  {"permute", 1},    {"slice", 1},        {"concat", 2},
      {"broadcast_to", 1}, {"layer_norm", 1}, {"group_norm", 1}, {"rms_norm", 1},     {"rotary", 1},
      {"max_pool", 1},     {"avg_pool", 1},   {"upsample", 1}};
  std::vector<OpCase> cases;
  for (OpCase& c : all_op_cases()) {
    const auto found = activations.find(c.name.substr(0, c.name.find(' ')));
    if (found == activations.end()) continue;
    c.activations = found->second;
    cases.push_back(std::move(c));
  }
  return cases;
}

std::vector<OpCase> random_shape_cases(int count) {
  std::vector<OpCase> cases;
  for (int i = 0; i < count; ++i) {
    RandomStream random(4, Stream::test, static_cast<uint32_t>(i));
    const auto extent = [&](uint32_t low = 1) { return int64_t{low + random.below(41 - low)}; };
    const int64_t rows = extent(), inputs = extent(), outputs = extent();
    cases.push_back(linear_case(rows, inputs, outputs, random.below(2) == 1));
    // Normalised rows of 2 are all but constant: their gradients are what cancellation leaves.
    cases.push_back(layer_norm_case(extent(), extent(3)));
    const Shape shape{extent(), extent()};
    const Shape other{random.below(2) ? shape[0] : 1, random.below(2) ? shape[1] : 1};
    cases.push_back(binary_case("mul", ops::mul, shape, other, [](double a, double b) { return a * b; }));
  }
  return cases;
}

}  // namespace dalle1::test
