#include "transformer/model.h"

#include <cmath>

#include "core/grad/tape.h"
#include "core/nn/rotary_angles.h"
#include "core/ops/elementwise.h"
#include "core/ops/embedding.h"
#include "core/ops/linear.h"
#include "core/ops/movement.h"
#include "core/ops/norm.h"

namespace dalle1::transformer {
namespace {

BlockConfig block_config(const TransformerConfig& config) {
  return {config.width,         config.heads,      config.head_size(), config.mlp_ratio,
          config.gated_mlp,     config.activation, config.reversible,  config.token_shift,
          config.sandwich_norm, config.qk_norm,    config.norm_eps,    config.dropout};
}

// Always in f32: bf16 has 8 bits, of which a logit's whole part takes half.
Tensor full_logits(Context& context, const Tensor& hidden, const nn::Linear& head) {
  return head.forward(context, hidden, {}, DType::f32);
}

}  // namespace

Transformer::Transformer(Device& device, const TransformerConfig& config, const Precision& precision)
    : config_(config) {
  validate(config);
  const int64_t width = config.width;
  const DType tables = precision.without_int8().parameters;
  text_embedding_ = Tensor::zeros(device, {config.text_classes(), width}, tables);
  text_position_ = Tensor::zeros(device, {config.text_positions(), width}, tables);
  image_embedding_ = Tensor::zeros(device, {config.image_vocab, width}, tables);
  image_row_ = Tensor::zeros(device, {config.grid, width}, tables);
  image_column_ = Tensor::zeros(device, {config.grid, width}, tables);
  for (int layer = 0; layer < config.layers; ++layer) {
    blocks_.emplace_back(device, block_config(config), layer, precision);
  }
  final_norm_ = nn::LayerNorm::identity(device, width, config.norm_eps, precision.activations);
  if (config.head_norm)
    head_norm_ = nn::LayerNorm::identity(device, width, config.norm_eps, precision.activations);
  head_ = nn::Linear::zeros(device, config.classes(), width, precision);
}

void Transformer::initialise(uint64_t seed, bool zero_ends) {
  initialise_parameters(*this, {config_.width, config_.layers, zero_ends}, seed);
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
  final_norm_.visit("final_norm", visitor);
  if (config_.head_norm) head_norm_.visit("head_norm", visitor);
  head_.visit("head", visitor);
}

Tensor Transformer::embed(Context& context, const Tensor& text, const Tensor& image) const {
  check(text.rank() == 2 && text.dim(1) <= config_.text_length, ErrorKind::internal, "text ids {}; {} slots",
        text.shape(), config_.text_length);
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
        image.shape(), config_.grid);
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

Rotations Transformer::rotations(int32_t slots) const {
  if (!config_.rotary) return {};
  const nn::RotaryPlaces places{config_.sequence(slots).grid().begin, config_.grid};
  const int32_t positions = places.text + config_.cells(), size = config_.head_size(), pairs = size / 2;
  const bool dalle_pytorch = config_.rotary_kind == "dalle_pytorch";
  const auto angles =
      dalle_pytorch ? nn::dalle_pytorch_rotary_angles(places, size) : nn::grid_rotary_angles(places, size);
  std::vector<float> table;
  for (int32_t position = 0; position < positions; ++position) {
    const auto own = std::span(angles).subspan(static_cast<size_t>(position) * pairs, pairs);
    for (double angle : own) table.push_back(static_cast<float>(std::cos(angle)));
    for (double angle : own) table.push_back(static_cast<float>(std::sin(angle)));
  }
  return {Tensor::from(device(), {positions, size}, table), dalle_pytorch};
}

Tensor Transformer::trunk(Context& context, Tensor x, const std::shared_ptr<Sequence>& sequence,
                          bool checkpoint_blocks) const {
  if (config_.reversible) x = ops::concat(context, {x, x}, -1);
  for (const Block& block : blocks_) {
    const auto forward = [&block, sequence](Context& inner, const Tensor& input) {
      return block.forward(inner, input, *sequence);
    };
    x = checkpoint_blocks ? checkpoint(context, x, forward) : forward(context, x);
  }
  if (config_.reversible) {
    const Tensor sum = ops::add(context, ops::slice(context, x, -1, 0, config_.width),
                                ops::slice(context, x, -1, config_.width, 2 * config_.width));
    x = ops::affine(context, sum, 0.5f);
  }
  if (config_.divide_by_max) x = ops::divide_by_max(context, x);
  x = final_norm_.forward(context, x);
  return config_.head_norm ? head_norm_.forward(context, x) : x;
}

Tensor Transformer::logits(Context& context, const Tensor& hidden) const {
  if (!image_head_.packed.defined()) return full_logits(context, hidden, head_);
  return ops::concat(context, {full_logits(context, hidden, text_head_), image_logits(context, hidden)}, -1);
}

Tensor Transformer::image_logits(Context& context, const Tensor& hidden) const {
  return full_logits(context, hidden, image_head(context));
}

nn::Linear Transformer::text_head(Context& context) const {
  return head_rows(context, 0, config_.text_classes(), text_head_);
}

nn::Linear Transformer::image_head(Context& context) const {
  return head_rows(context, config_.text_classes(), config_.classes(), image_head_);
}

nn::Linear Transformer::head_rows(Context& context, int64_t begin, int64_t end,
                                  const nn::Linear& prepared) const {
  if (context.tape) {
    return {ops::slice(context, head_.weight, 0, begin, end),
            ops::slice(context, head_.bias, 0, begin, end),
            {},
            head_.compute,
            {}};
  }
  return prepared.bias.defined() ? prepared : head_.rows(begin, end);
}

void Transformer::prepare() {
  for (Block& block : blocks_) block.prepare();
  text_head_ = head_.rows(0, config_.text_classes());
  image_head_ = head_.rows(config_.text_classes(), config_.classes());
  image_head_.prepare();
  if (!head_.scale.defined()) return;  // drawing needs no logits of text, whose weights stay as they are
  text_head_.prepare();
  head_.weight = {};
}

std::shared_ptr<Sequence> whole_sequence(const Transformer& model, int32_t slots) {
  const TransformerConfig& config = model.config();
  return std::make_shared<WholeSequence>(layer_patterns(config, slots), config.heads, model.rotations(slots));
}

}  // namespace dalle1::transformer
