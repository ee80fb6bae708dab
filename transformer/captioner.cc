#include "transformer/captioner.h"

#include "core/nn/initialise.h"
#include "core/ops/elementwise.h"
#include "core/ops/embedding.h"
#include "core/ops/movement.h"

namespace dalle1::transformer {
namespace {

constexpr int kKernel = 3;

// Halves the grid, rounding up.
ops::Conv2dOptions halving() {
  ops::Conv2dOptions options = ops::Conv2dOptions::same(kKernel);
  options.geometry.stride = 2;
  return options;
}

}  // namespace

Captioner::Captioner(Device& device, const CaptionerConfig& config, const Precision& precision)
    : config_(config), compute_(precision.compute) {
  validate(config);
  const int64_t width = config.width, codes = config.code_width;
  if (config.reads_grid()) {
    code_embedding_ = Tensor::zeros(device, {config.image_vocab, codes});
    grid_[0] = nn::Conv2d::zeros(device, 2 * codes, codes, kKernel, precision);
    grid_[1] = nn::Conv2d::zeros(device, width, 2 * codes, kKernel, precision);
  }
  if (config.reads_clip())
    embedding_to_vectors_ = nn::Linear::zeros(device, config.prefix * width, config.embed_dim, precision);
  no_picture_ = Tensor::zeros(device, {config.picture_vectors(), width});
  token_embedding_ = Tensor::zeros(device, {config.classes(), width});
  position_ = Tensor::zeros(device, {config.sequence().length(), width});
  BlockConfig block;
  block.width = config.width;
  block.heads = config.heads;
  block.head_size = config.width / config.heads;
  block.mlp_ratio = config.mlp_ratio;
  block.activation = config.activation;
  block.qk_norm = config.qk_norm;
  for (int layer = 0; layer < config.layers; ++layer) blocks_.emplace_back(device, block, layer, precision);
  final_norm_ = nn::LayerNorm::identity(device, width, 1e-5f, precision.activations);
  head_bias_ = Tensor::zeros(device, {config.classes()});
}

void Captioner::initialise(uint64_t seed) {
  initialise_parameters(*this, {config_.width, config_.layers}, seed);
  if (!config_.reads_grid()) return;
  constexpr float deviation = 0.25f;  // so that the picture's vectors are no smaller than positions and words
  nn::fill_normal(code_embedding_, deviation, seed, 0);
}

void Captioner::visit(const ParameterVisitor& visitor) {
  if (config_.reads_grid()) {
    visitor("code_embedding.weight", code_embedding_);
    grid_[0].visit("grid.0", visitor);
    grid_[1].visit("grid.1", visitor);
  }
  if (config_.reads_clip()) embedding_to_vectors_.visit("clip", visitor);
  visitor("no_picture.weight", no_picture_);
  visitor("token_embedding.weight", token_embedding_);
  visitor("position.weight", position_);
  for (size_t layer = 0; layer < blocks_.size(); ++layer)
    blocks_[layer].visit(fmt::format("layers.{}.", layer), visitor);
  final_norm_.visit("final_norm", visitor);
  visitor("head.bias", head_bias_);
}

// [B, G, G] to [B, grid_vectors, C].
Tensor Captioner::grid_vectors(Context& context, const Tensor& codes) const {
  check(codes.defined() && codes.rank() == 3 && codes.dim(1) == config_.grid && codes.dim(2) == config_.grid,
        ErrorKind::internal, "codes for a captioner of grid {}", config_.grid);
  Tensor x = ops::permute(context, ops::embedding(context, codes, code_embedding_), {0, 3, 1, 2});
  x = grid_[0].forward(context, x, halving());
  x = ops::unary(context, Unary::silu, x);
  x = grid_[1].forward(context, x, halving());
  x = ops::reshape(context, ops::to_plain(context, x), {codes.dim(0), config_.width, config_.grid_vectors()});
  return ops::permute(context, x, {0, 2, 1});
}

Tensor Captioner::picture_vectors(Context& context, const CaptionCondition& condition,
                                  std::span<const uint8_t> dropped) const {
  std::vector<Tensor> parts;
  if (config_.reads_grid()) parts.push_back(grid_vectors(context, condition.codes));
  if (config_.reads_clip()) {
    check(condition.embedding.defined() && condition.embedding.dim(-1) == config_.embed_dim,
          ErrorKind::internal, "embeddings for a captioner that reads {} numbers", config_.embed_dim);
    const Tensor vectors = embedding_to_vectors_.forward(context, condition.embedding);
    parts.push_back(ops::reshape(context, vectors, {-1, config_.prefix, config_.width}));
  }
  const Tensor vectors = parts.size() == 1 ? parts.front() : ops::concat(context, parts, 1);
  if (dropped.empty()) return vectors;

  // Row B of this table is that of no picture.
  const int64_t batch = vectors.dim(0), size = vectors.dim(1) * vectors.dim(2);
  const Tensor table = ops::concat(
      context, {ops::reshape(context, vectors, {batch, size}), ops::reshape(context, no_picture_, {1, size})},
      0);
  std::vector<int64_t> rows(batch);
  for (int64_t b = 0; b < batch; ++b) rows[b] = dropped[b] ? batch : b;
  const Tensor chosen = ops::embedding(context, Tensor::from(device(), {batch}, rows), table);
  return ops::reshape(context, chosen, vectors.shape());
}

Tensor Captioner::null_vectors(Context& context) const {
  return ops::reshape(context, no_picture_, {1, config_.picture_vectors(), config_.width});
}

Tensor Captioner::embed(Context& context, const Tensor& vectors, const Tensor& ids) const {
  check(vectors.dim(1) == config_.sequence().text().begin, ErrorKind::internal,
        "vectors {} before a text at {}", vectors.shape(), config_.sequence().text().begin);
  const Tensor words = ops::embedding(context, ids, token_embedding_);
  const Tensor x = ops::concat(context, {vectors, words}, 1);
  return ops::add(context, x, ops::slice(context, position_, 0, 0, x.dim(1)));
}

Tensor Captioner::embed_at(Context& context, const Tensor& ids, int32_t slot) const {
  const int64_t place = config_.sequence().text().begin + slot;
  return ops::add(context, ops::embedding(context, ids, token_embedding_),
                  ops::slice(context, position_, 0, place, place + 1));
}

Tensor Captioner::trunk(Context& context, Tensor x, Sequence& sequence) const {
  for (const Block& block : blocks_) x = block.forward(context, x, sequence);
  return final_norm_.forward(context, x);
}

void Captioner::prepare() {
  for (Block& block : blocks_) block.prepare();
  head().prepare();
}

nn::Linear Captioner::head() const { return {token_embedding_, head_bias_, {}, compute_, {}}; }

Tensor Captioner::logits(Context& context, const Tensor& hidden) const {
  return head().forward(context, hidden, {}, DType::f32);
}

std::vector<AttentionPattern> Captioner::patterns() const {
  return std::vector<AttentionPattern>(config_.layers, AttentionPattern::causal(config_.sequence().length()));
}

}  // namespace dalle1::transformer
