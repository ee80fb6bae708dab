#include "transformer/model.h"

#include <cmath>

#include "core/grad/tape.h"
#include "core/ops/elementwise.h"
#include "core/ops/embedding.h"
#include "core/ops/linear.h"
#include "core/ops/movement.h"
#include "core/ops/norm.h"
#include "core/random/philox.h"

namespace dalle1::transformer {
namespace {

NormParameters make_norm(Device& device, int64_t width) {
  return {Tensor::full(device, {width}, 1.0f), Tensor::zeros(device, {width})};
}

LinearParameters make_linear(Device& device, int64_t outputs, int64_t inputs, DType dtype) {
  return {Tensor::zeros(device, {outputs, inputs}, dtype), Tensor::zeros(device, {outputs})};
}

template <typename Pair>
void visit_pair(const std::string& name, Pair& pair, const ParameterVisitor& visitor) {
  visitor(name + ".weight", pair.weight);
  visitor(name + ".bias", pair.bias);
}

Tensor apply(Context& context, const Tensor& x, const LinearParameters& parameters) {
  return ops::linear(context, x, parameters.weight, parameters.bias);
}

Tensor apply(Context& context, const Tensor& x, const LinearParameters& parameters,
             const LinearEpilogue& epilogue) {
  return ops::linear_fused(context, x, parameters.weight, parameters.bias, epilogue);
}

// Always in f32: bf16 has 8 bits, of which a logit's whole part takes half.
// Radians a cell by which the last pair of an axis turns; the first turns by one. 32 cells are less than half
// a turn of the last.
constexpr double kSlowestTurn = 0.02;

Tensor full_logits(Context& context, const Tensor& hidden, const LinearParameters& head) {
  return ops::linear_fused(context, hidden, head.weight, head.bias, {}, DType::f32);
}

}  // namespace

Block::Block(Device& device, const TransformerConfig& config, int index, DType matrices)
    : index_(index),
      sandwich_(config.sandwich_norm),
      qk_norm_(config.qk_norm),
      head_size_(config.head_size()),
      epsilon_(config.norm_eps),
      dropout_(config.dropout),
      activation_(ops::activation_from_name(config.activation)),
      attention_norm_(make_norm(device, config.width)),
      mlp_norm_(make_norm(device, config.width)),
      qkv_(make_linear(device, 3 * config.width, config.width, matrices)),
      output_(make_linear(device, config.width, config.width, matrices)),
      up_(make_linear(device, int64_t{config.mlp_ratio} * config.width, config.width, matrices)),
      down_(make_linear(device, config.width, int64_t{config.mlp_ratio} * config.width, matrices)) {
  if (!sandwich_) return;
  attention_post_norm_ = make_norm(device, config.width);
  mlp_post_norm_ = make_norm(device, config.width);
}

Tensor Block::norm(Context& context, const Tensor& x, const NormParameters& parameters) const {
  return ops::layer_norm(context, x, parameters.weight, parameters.bias, epsilon_);
}

Tensor Block::forward(Context& context, const Tensor& x, Sequence& sequence) const {
  const auto place = static_cast<uint32_t>(2 * index_);
  Tensor a = norm(context, x, attention_norm_);
  Tensor qkv = apply(context, a, qkv_);
  if (qk_norm_) qkv = ops::rms_norm(context, qkv, head_size_, 2 * x.dim(-1), epsilon_);
  a = sequence.attend(context, index_, qkv);
  const Tensor h = add_branch(context, x, a, output_, attention_post_norm_, place);
  Tensor m = norm(context, h, mlp_norm_);
  m = apply(context, m, up_, {activation_});
  return add_branch(context, h, m, down_, mlp_post_norm_, place + 1);
}

// x + the end of a residual branch.
Tensor Block::add_branch(Context& context, const Tensor& x, const Tensor& branch,
                         const LinearParameters& last, const NormParameters& post_norm,
                         uint32_t place) const {
  if (!sandwich_ && (!context.training || dropout_ == 0.0f))
    return apply(context, branch, last, {std::nullopt, &x});
  Tensor y = apply(context, branch, last);
  if (sandwich_) y = norm(context, y, post_norm);
  return ops::add(context, x, ops::dropout(context, y, dropout_, place));
}

void Block::visit(const std::string& prefix, const ParameterVisitor& visitor) {
  visit_pair(prefix + "attention_norm", attention_norm_, visitor);
  visit_pair(prefix + "attention.qkv", qkv_, visitor);
  visit_pair(prefix + "attention.output", output_, visitor);
  if (sandwich_) visit_pair(prefix + "attention_post_norm", attention_post_norm_, visitor);
  visit_pair(prefix + "mlp_norm", mlp_norm_, visitor);
  visit_pair(prefix + "mlp.up", up_, visitor);
  visit_pair(prefix + "mlp.down", down_, visitor);
  if (sandwich_) visit_pair(prefix + "mlp_post_norm", mlp_post_norm_, visitor);
}

Transformer::Transformer(Device& device, const TransformerConfig& config, DType matrices) : config_(config) {
  validate(config);
  const int64_t width = config.width;
  text_embedding_ = Tensor::zeros(device, {config.text_classes(), width}, matrices);
  text_position_ = Tensor::zeros(device, {config.text_positions(), width}, matrices);
  image_embedding_ = Tensor::zeros(device, {config.image_vocab, width}, matrices);
  image_row_ = Tensor::zeros(device, {config.grid, width}, matrices);
  image_column_ = Tensor::zeros(device, {config.grid, width}, matrices);
  for (int layer = 0; layer < config.layers; ++layer) {
    blocks_.emplace_back(device, config, layer, matrices);
  }
  final_norm_ = make_norm(device, width);
  if (config.head_norm) head_norm_ = make_norm(device, width);
  head_ = make_linear(device, config.classes(), width, matrices);
}

void Transformer::initialise(uint64_t seed, bool zero_ends) {
  const float deviation = 0.5f / std::sqrt(static_cast<float>(config_.width));
  const float residual = deviation / std::sqrt(2.0f * static_cast<float>(config_.layers));
  uint32_t index = 0;
  visit([&](const std::string& name, Tensor& parameter) {
    RandomStream draws(seed, Stream::initialisation, index++);
    if (parameter.rank() < 2) return;  // norms and biases
    const bool branch_end = name.ends_with("attention.output.weight") || name.ends_with("mlp.down.weight");
    if (zero_ends && (branch_end || name == "head.weight")) return;
    check(parameter.dtype() == DType::f32, ErrorKind::internal, "{}: initialise() wants f32", name);
    std::vector<float> values(parameter.numel());
    for (float& value : values) value = (branch_end ? residual : deviation) * draws.normal();
    parameter.device().copy_from_host(parameter.raw(), values.data(), parameter.bytes());
    parameter.touch();
  });
}

void Transformer::visit(const ParameterVisitor& visitor) {
  visitor("text_embedding.weight", text_embedding_);
  visitor("text_position.weight", text_position_);
  visitor("image_embedding.weight", image_embedding_);
  visitor("image_row.weight", image_row_);
  visitor("image_column.weight", image_column_);
  for (size_t layer = 0; layer < blocks_.size(); ++layer) {
    blocks_[layer].visit(fmt::format("layers.{}.", layer), visitor);
  }
  visit_pair("final_norm", final_norm_, visitor);
  if (config_.head_norm) visit_pair("head_norm", head_norm_, visitor);
  visit_pair("head", head_, visitor);
}

Tensor Transformer::embed(Context& context, const Tensor& text, const Tensor& image) const {
  check(text.rank() == 2 && text.dim(1) <= config_.text_length, ErrorKind::internal, "text ids {}; {} slots",
        text.shape().str(), config_.text_length);
  Tensor ids = text;
  if (config_.prepended()) {
    const std::vector<int64_t> start(text.dim(0), config_.start_token);
    Context plain = context.untaped();
    ids = ops::concat(plain, {Tensor::from(text.device(), {text.dim(0), 1}, start), text}, 1);
  }
  const Tensor positions = ops::slice(context, text_position_, 0, 0, ids.dim(1));
  const Tensor words =
      normed(context, ops::add(context, ops::embedding(context, ids, text_embedding_), positions));
  if (!image.defined() || image.dim(1) == 0) return words;

  const int64_t cells = image.dim(1);
  check(image.rank() == 2 && cells <= config_.cells(), ErrorKind::internal, "image ids {} for a grid of {}",
        image.shape().str(), config_.grid);
  const Tensor picture = embed_at(context, image, places(context, cells));
  return ops::concat(context, {words, picture}, 1);
}

Tensor Transformer::places(Context& context, int64_t cells) const {
  std::vector<int64_t> rows(cells), columns(cells);
  for (int64_t cell = 0; cell < cells; ++cell) {
    rows[cell] = cell / config_.grid;
    columns[cell] = cell % config_.grid;
  }
  return ops::add(context, ops::embedding(context, Tensor::from(device(), {cells}, rows), image_row_),
                  ops::embedding(context, Tensor::from(device(), {cells}, columns), image_column_));
}

Tensor Transformer::embed_at(Context& context, const Tensor& tokens, const Tensor& place) const {
  return normed(context, ops::add(context, ops::embedding(context, tokens, image_embedding_), place));
}

Tensor Transformer::normed(Context& context, const Tensor& embeddings) const {
  if (!config_.embedding_norm) return embeddings;
  return ops::rms_norm(context, embeddings, config_.width, config_.width, config_.norm_eps);
}

Tensor Transformer::rotations(int32_t slots) const {
  if (!config_.rotary) return {};
  const int32_t before = config_.prefix(slots), pairs = config_.head_size() / 2, axis = pairs / 2;
  std::vector<float> table;
  for (int32_t position = 0; position < before + config_.cells(); ++position) {
    const int32_t cell = position - before;
    std::vector<double> angles(pairs, 0.0);
    for (int32_t i = 0; i < axis && cell >= 0; ++i) {
      const double frequency = std::pow(kSlowestTurn, static_cast<double>(i) / axis);
      angles[i] = frequency * (cell / config_.grid);
      angles[axis + i] = frequency * (cell % config_.grid);
    }
    for (double angle : angles) table.push_back(static_cast<float>(std::cos(angle)));
    for (double angle : angles) table.push_back(static_cast<float>(std::sin(angle)));
  }
  return Tensor::from(device(), {before + config_.cells(), config_.head_size()}, table);
}

Tensor Transformer::trunk(Context& context, Tensor x, const std::shared_ptr<Sequence>& sequence,
                          bool checkpoint_blocks) const {
  for (const Block& block : blocks_) {
    const auto forward = [&block, sequence](Context& inner, const Tensor& input) {
      return block.forward(inner, input, *sequence);
    };
    x = checkpoint_blocks ? checkpoint(context, x, forward) : forward(context, x);
  }
  x = ops::layer_norm(context, x, final_norm_.weight, final_norm_.bias, config_.norm_eps);
  if (!config_.head_norm) return x;
  return ops::layer_norm(context, x, head_norm_.weight, head_norm_.bias, config_.norm_eps);
}

Tensor Transformer::logits(Context& context, const Tensor& hidden) const {
  return full_logits(context, hidden, head_);
}

Tensor Transformer::image_logits(Context& context, const Tensor& hidden) const {
  return full_logits(context, hidden, image_head(context));
}

LinearParameters Transformer::text_head(Context& context) const {
  return head_rows(context, 0, config_.text_classes(), text_view_);
}

LinearParameters Transformer::image_head(Context& context) const {
  return head_rows(context, config_.text_classes(), config_.classes(), image_view_);
}

LinearParameters Transformer::head_rows(Context& context, int64_t begin, int64_t end, HeadView& kept) const {
  if (context.tape) {
    return {ops::slice(context, head_.weight, 0, begin, end), ops::slice(context, head_.bias, 0, begin, end)};
  }
  if (kept.source != head_.weight.id()) {
    kept = {{head_.weight.rows(begin, end), head_.bias.rows(begin, end)}, head_.weight.id()};
  }
  return kept.rows;
}

std::shared_ptr<Sequence> whole_sequence(const Transformer& model, int32_t slots) {
  const TransformerConfig& config = model.config();
  return std::make_shared<WholeSequence>(layer_patterns(config, slots), config.heads, model.rotations(slots));
}

}  // namespace dalle1::transformer
