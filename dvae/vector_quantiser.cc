#include "dvae/vector_quantiser.h"

#include <algorithm>
#include <cmath>

#include "core/nn/initialise.h"
#include "core/ops/argmax.h"
#include "core/ops/elementwise.h"
#include "core/ops/embedding.h"
#include "core/ops/movement.h"
#include "core/ops/reduce.h"
#include "core/random/philox.h"

namespace dalle1::dvae {
namespace {

// A code that no vector chose for about a hundred steps (at a decay of 0.98) is dead.
constexpr float kDeadShareOfOneUse = 0.15f;
constexpr int64_t kVectorsPerCode = 4;  // that k-means starts from
constexpr int kLloydRounds = 4;

void assign(Tensor& tensor, const std::vector<float>& values) {
  tensor.device().copy_from_host(tensor.raw(), values.data(), values.size() * sizeof(float));
  tensor.touch();
}

double squared_distance(const float* a, const float* b, int64_t n) {
  constexpr int kLanes = 8;
  float lanes[kLanes] = {}, sum = 0;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      const float difference = a[i + lane] - b[i + lane];
      lanes[lane] += difference * difference;
    }
  }
  for (; i < n; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  for (const float lane : lanes) sum += lane;
  return sum;
}

// Index drawn in proportion to weights of the given sum.
size_t draw(const std::vector<double>& weights, double sum, RandomStream& random) {
  double rest = sum * random.uniform();
  for (size_t i = 0; i < weights.size(); ++i) {
    rest -= weights[i];
    if (rest < 0) return i;
  }
  return weights.size() - 1;
}

// Centres spread over the vectors: each next one is drawn in proportion to its squared distance from those
// before (k-means++, Arthur and Vassilvitskii 2007).
std::vector<float> spread_centres(const std::vector<float>& vectors, int64_t count, int64_t dimensions,
                                  RandomStream& random) {
  const int64_t n = static_cast<int64_t>(vectors.size()) / dimensions;
  std::vector<double> distances(n, 1.0);
  std::vector<float> centres;
  centres.reserve(count * dimensions);
  double sum = static_cast<double>(n);
  for (int64_t k = 0; k < count; ++k) {
    const float* chosen = vectors.data() + draw(distances, sum, random) * dimensions;
    centres.insert(centres.end(), chosen, chosen + dimensions);
    sum = 0;
    for (int64_t i = 0; i < n; ++i) {
      const double distance = squared_distance(vectors.data() + i * dimensions, chosen, dimensions);
      distances[i] = k == 0 ? distance : std::min(distances[i], distance);
      sum += distances[i];
    }
  }
  return centres;
}

}  // namespace

VectorQuantiser::VectorQuantiser(Device& device, int64_t codes, int64_t features, int64_t decoder_init,
                                 const VqOptions& options, uint64_t seed)
    : options_(options),
      input_(nn::Conv2d::zeros(device, options.dimensions, features, 1)),
      output_(nn::Conv2d::zeros(device, decoder_init, options.dimensions, 1)),
      codebook_(Tensor::zeros(device, {codes, options.dimensions})),
      counts_(Tensor::zeros(device, {codes})),
      sums_(Tensor::zeros(device, {codes, options.dimensions})),
      collected_(Tensor::zeros(device, {codes * kVectorsPerCode, options.dimensions})) {
  nn::fill_normal(input_.weight, 1.0f / std::sqrt(static_cast<float>(features)), seed, 1 << 20);
  nn::fill_normal(output_.weight, 1.0f / std::sqrt(static_cast<float>(options.dimensions)), seed,
                  (1 << 20) + 1);
}

Tensor VectorQuantiser::nearest(const Tensor& vectors) const {
  Context context(vectors.device());
  const Tensor lengths = ops::sum(context, ops::square(context, codebook_), {1});
  const Tensor doubled = ops::affine(context, codebook_, 2.0f);
  const Tensor bias = ops::affine(context, lengths, -1.0f).view({codebook_.dim(0)});
  return ops::linear_argmax(vectors, doubled, bias).indices;
}

VectorQuantiser::Output VectorQuantiser::forward(Context& context, const Tensor& features) {
  const Tensor z = ops::permute(context, input_.forward(context, features), {0, 2, 3, 1});  // [B, h, w, D]
  vectors_ = z.detach().view({z.numel() / options_.dimensions, options_.dimensions});
  Tensor quantised = z;
  Tensor commitment = Tensor::zeros(*context.device, {1});
  if (ready_) {
    indices_ = nearest(vectors_);
    Context plain = context.untaped();
    const Tensor codes = ops::embedding(plain, indices_, codebook_).view(z.shape());
    const Tensor distance = ops::mean(context, ops::square(context, ops::sub(context, z, codes)));
    last_error_ = distance.item();
    commitment = ops::affine(context, distance, options_.commitment);
    quantised = ops::straight_through(context, codes, z);
  }
  return {output_.forward(context, ops::permute(context, quantised, {0, 3, 1, 2})), commitment};
}

void VectorQuantiser::update(int64_t step, uint64_t seed) {
  if (!ready_) {
    collect(step);
    if (step + 1 < options_.continuous_steps) return;
    const int64_t rows = std::min(collected_.dim(0), (step + 1) * vectors_.dim(0));
    make_codebook(collected_.rows(0, rows).to_floats(), seed);
    return;
  }
  const std::vector<float> vectors = vectors_.to_floats();
  const std::vector<int64_t> indices = indices_.to_ints();
  follow(vectors, indices);
  if (step < options_.revive_until) revive(vectors, indices, step, seed);
}

// A ring of the last vectors; where they go follows from the step alone.
void VectorQuantiser::collect(int64_t step) {
  const int64_t room = collected_.dim(0), count = vectors_.dim(0);
  for (int64_t row = 0; row < count;) {
    const int64_t at = (step * count + row) % room, rows = std::min(count - row, room - at);
    const Tensor target = collected_.rows(at, at + rows), source = vectors_.rows(row, row + rows);
    target.device().copy(target.raw(), source.raw(), source.bytes());
    row += rows;
  }
  collected_.touch();
}

void VectorQuantiser::make_codebook(const std::vector<float>& vectors, uint64_t seed) {
  const int64_t codes = codebook_.dim(0), d = options_.dimensions;
  const int64_t n = static_cast<int64_t>(vectors.size()) / d;
  RandomStream random(seed, Stream::codebook, 0, 0);
  assign(codebook_, spread_centres(vectors, codes, d, random));
  const Tensor all = Tensor::from(codebook_.device(), {n, d}, vectors);
  std::vector<float> counts(codes), sums(codes * d);
  for (int round = 0; round < kLloydRounds; ++round) {
    const std::vector<int64_t> indices = nearest(all).to_ints();
    // Half a use of its own centre keeps an empty code where it is.
    const std::vector<float> centres = codebook_.to_floats();
    for (int64_t k = 0; k < codes; ++k) {
      counts[k] = 0.5f;
      for (int64_t i = 0; i < d; ++i) sums[k * d + i] = 0.5f * centres[k * d + i];
    }
    for (int64_t row = 0; row < n; ++row) {
      counts[indices[row]] += 1;
      for (int64_t i = 0; i < d; ++i) sums[indices[row] * d + i] += vectors[row * d + i];
    }
    rewrite_codebook(counts, sums);
  }
  // From totals to uses per step.
  const float per_step = static_cast<float>(vectors_.dim(0)) / static_cast<float>(n);
  for (float& value : counts) value *= per_step;
  for (float& value : sums) value *= per_step;
  rewrite_codebook(counts, sums);
  ready_ = true;
}

void VectorQuantiser::rewrite_codebook(const std::vector<float>& counts, const std::vector<float>& sums) {
  const int64_t d = options_.dimensions;
  std::vector<float> codes(sums.size());
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = sums[i] / counts[i / d];
  assign(counts_, counts);
  assign(sums_, sums);
  assign(codebook_, codes);
}

void VectorQuantiser::follow(const std::vector<float>& vectors, const std::vector<int64_t>& indices) {
  const int64_t d = options_.dimensions;
  const float keep = options_.decay, take = 1.0f - options_.decay;
  std::vector<float> counts = counts_.to_floats(), sums = sums_.to_floats();
  for (float& value : counts) value *= keep;
  for (float& value : sums) value *= keep;
  for (size_t row = 0; row < indices.size(); ++row) {
    counts[indices[row]] += take;
    for (int64_t i = 0; i < d; ++i) sums[indices[row] * d + i] += take * vectors[row * d + i];
  }
  // A code that fades keeps its place: count and sum stay above nothing together.
  const std::vector<float> codes = codebook_.to_floats();
  constexpr float least = 1e-6f;
  for (size_t k = 0; k < counts.size(); ++k) {
    if (counts[k] >= least) continue;
    counts[k] = least;
    for (int64_t i = 0; i < d; ++i) sums[k * d + i] = least * codes[k * d + i];
  }
  rewrite_codebook(counts, sums);
}

void VectorQuantiser::revive(const std::vector<float>& vectors, const std::vector<int64_t>& indices,
                             int64_t step, uint64_t seed) {
  const int64_t d = options_.dimensions;
  const float one_use = 1.0f - options_.decay, dead = kDeadShareOfOneUse * one_use;
  std::vector<float> counts = counts_.to_floats(), sums = sums_.to_floats();
  const std::vector<float> codes = codebook_.to_floats();
  std::vector<double> errors(indices.size());
  double total = 0;
  for (size_t row = 0; row < indices.size(); ++row) {
    errors[row] = squared_distance(vectors.data() + row * d, codes.data() + indices[row] * d, d);
    total += errors[row];
  }
  RandomStream random(seed, Stream::codebook, static_cast<uint32_t>(step), 1);
  for (size_t k = 0; k < counts.size() && total > 0; ++k) {
    if (counts[k] >= dead) continue;
    const size_t row = draw(errors, total, random);
    total -= errors[row];
    errors[row] = 0;  // one vector gives one code
    counts[k] = one_use;
    for (int64_t i = 0; i < d; ++i) sums[k * d + i] = one_use * vectors[row * d + i];
  }
  rewrite_codebook(counts, sums);
}

void VectorQuantiser::visit(const ParameterVisitor& visitor) {
  input_.visit("vq.input.w", "vq.input.b", visitor);
  output_.visit("vq.output.w", "vq.output.b", visitor);
}

void VectorQuantiser::visit_state(const ParameterVisitor& visitor) {
  visitor("vq.codebook", codebook_);
  visitor("vq.counts", counts_);
  visitor("vq.sums", sums_);
  visitor("vq.collected", collected_);
}

void VectorQuantiser::export_to(nn::Conv2d& encoder_output, nn::Conv2d& decoder_input) const {
  const int64_t codes = codebook_.dim(0), d = options_.dimensions;
  const int64_t features = input_.weight.dim(1), init = output_.weight.dim(0);
  const std::vector<float> e = codebook_.to_floats(), in_w = input_.weight.to_floats(),
                           in_b = input_.bias.to_floats(), out_w = output_.weight.to_floats();
  std::vector<float> logits_w(codes * features), logits_b(codes), table(init * codes);
  for (int64_t k = 0; k < codes; ++k) {
    const float* code = e.data() + k * d;
    double bias = 0;
    for (int64_t i = 0; i < d; ++i) {
      bias += code[i] * (2.0 * in_b[i] - code[i]);
      for (int64_t c = 0; c < features; ++c)
        logits_w[k * features + c] += 2.0f * code[i] * in_w[i * features + c];
    }
    logits_b[k] = static_cast<float>(bias);
    for (int64_t o = 0; o < init; ++o) {
      double sum = 0;
      for (int64_t i = 0; i < d; ++i) sum += static_cast<double>(out_w[o * d + i]) * code[i];
      table[o * codes + k] = static_cast<float>(sum);
    }
  }
  assign(encoder_output.weight, logits_w);
  assign(encoder_output.bias, logits_b);
  assign(decoder_input.weight, table);
  assign(decoder_input.bias, output_.bias.to_floats());
}

}  // namespace dalle1::dvae
