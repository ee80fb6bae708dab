// One residual attention block against its formulas in double precision, for heads and activations of all
// kinds.
#include "clip/blocks.h"

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <vector>

#include "core/random/philox.h"

using namespace dalle1;

namespace {

using Values = std::vector<double>;

constexpr int64_t kTokens = 5, kWidth = 160, kMlp = 200;

/// Parameters by name, and the arithmetic of Radford et al. 2021 on one sequence [kTokens, kWidth].
struct Reference {
  std::map<std::string, Values> parameters;

  Values norm(const Values& x, const std::string& name) const {
    Values out(x.size());
    for (int64_t t = 0; t < kTokens; ++t) {
      double mean = 0, variance = 0;
      for (int64_t c = 0; c < kWidth; ++c) mean += x[t * kWidth + c] / kWidth;
      for (int64_t c = 0; c < kWidth; ++c) variance += std::pow(x[t * kWidth + c] - mean, 2) / kWidth;
      for (int64_t c = 0; c < kWidth; ++c)
        out[t * kWidth + c] =
            (x[t * kWidth + c] - mean) / std::sqrt(variance + 1e-5) * parameters.at(name + ".weight")[c] +
            parameters.at(name + ".bias")[c];
    }
    return out;
  }
  Values linear(const Values& x, const std::string& weight, const std::string& bias) const {
    const auto& w = parameters.at(weight);
    const auto& b = parameters.at(bias);
    const auto outs = static_cast<int64_t>(b.size()), ins = static_cast<int64_t>(w.size()) / outs;
    Values y(static_cast<size_t>(kTokens * outs));
    for (int64_t t = 0; t < kTokens; ++t)
      for (int64_t o = 0; o < outs; ++o) {
        y[t * outs + o] = b[o];
        for (int64_t i = 0; i < ins; ++i) y[t * outs + o] += x[t * ins + i] * w[o * ins + i];
      }
    return y;
  }
  Values attention(const Values& qkv, int64_t heads) const {
    const int64_t size = kWidth / heads;
    Values out(static_cast<size_t>(kTokens * kWidth));
    for (int64_t head = 0; head < heads; ++head)
      for (int64_t t = 0; t < kTokens; ++t) {
        Values weight(kTokens);
        double sum = 0;
        for (int64_t u = 0; u < kTokens; ++u) {
          double score = 0;
          for (int64_t c = head * size; c < (head + 1) * size; ++c)
            score += qkv[t * 3 * kWidth + c] * qkv[u * 3 * kWidth + kWidth + c];
          sum += weight[u] = std::exp(score / std::sqrt(static_cast<double>(size)));
        }
        for (int64_t u = 0; u < kTokens; ++u)
          for (int64_t c = head * size; c < (head + 1) * size; ++c)
            out[t * kWidth + c] += weight[u] / sum * qkv[u * 3 * kWidth + 2 * kWidth + c];
      }
    return out;
  }
  Values forward(const Values& x, int64_t heads, double (*activation)(double)) const {
    const Values attended =
        linear(attention(linear(norm(x, "ln_1"), "attn.in_proj_weight", "attn.in_proj_bias"), heads),
               "attn.out_proj.weight", "attn.out_proj.bias");
    Values h = x;
    for (size_t i = 0; i < h.size(); ++i) h[i] += attended[i];
    Values inner = linear(norm(h, "ln_2"), "mlp.c_fc.weight", "mlp.c_fc.bias");
    for (double& value : inner) value = activation(value);
    const Values last = linear(inner, "mlp.c_proj.weight", "mlp.c_proj.bias");
    for (size_t i = 0; i < h.size(); ++i) h[i] += last[i];
    return h;
  }
};

double gelu(double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }
double quick_gelu(double x) { return x / (1 + std::exp(-1.702 * x)); }

}  // namespace

TEST_CASE("CLIP's block: heads of any width, both activations, an MLP of any width") {
  struct Case {
    int64_t heads;
    Unary activation;
    double (*function)(double);
  };
  for (const Case& each : {Case{2, Unary::gelu, gelu}, Case{2, Unary::quick_gelu, quick_gelu},
                           Case{4, Unary::gelu, gelu}, Case{10, Unary::quick_gelu, quick_gelu}}) {
    CAPTURE(each.heads);
    const auto device = make_cpu_device(1);
    clip::ResidualAttentionBlock block(*device, {kWidth, each.heads, kMlp, each.activation}, DType::f32);
    Reference reference;
    RandomStream random(7, Stream::test);
    block.visit("b", [&](const std::string& name, Tensor& tensor) {
      Values& values = reference.parameters[name.substr(2)];
      for (int64_t i = 0; i < tensor.numel(); ++i) {
        tensor.floats()[i] = 0.15f * random.normal();
        values.push_back(tensor.floats()[i]);
      }
      tensor.touch();
    });
    std::vector<float> input(static_cast<size_t>(kTokens * kWidth));
    for (float& value : input) value = random.normal();
    Context context(*device);
    const Tensor x = Tensor::from(*device, {1, kTokens, kWidth}, input);
    const auto found = block.forward(context, x, AttentionPattern::full(kTokens)).to_floats();
    const Values expected = reference.forward(Values(input.begin(), input.end()), each.heads, each.function);
    double largest = 0;
    for (size_t i = 0; i < found.size(); ++i) largest = std::max(largest, std::abs(found[i] - expected[i]));
    CHECK(largest < 1e-4);
    // The other activation is another function.
    const Values other = reference.forward(Values(input.begin(), input.end()), each.heads,
                                           each.function == gelu ? quick_gelu : gelu);
    double apart = 0;
    for (size_t i = 0; i < found.size(); ++i) apart = std::max(apart, std::abs(found[i] - other[i]));
    CHECK(apart > 1e-3);
  }
}
