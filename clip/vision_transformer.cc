#include "clip/blocks.h"
#include "clip/vision.h"
#include "core/ops/conv2d.h"
#include "core/ops/elementwise.h"
#include "core/ops/linear.h"
#include "core/ops/movement.h"

namespace dalle1::clip {
namespace {

class VisionTransformer final : public ImageEncoder {
 public:
  VisionTransformer(const ClipConfig& config, Device& device, const Precision& precision)
      : patch_(config.vision_patch_size),
        grid_(config.image_resolution / patch_),
        width_(config.vision_width),
        conv1_(Tensor::zeros(device, {width_, 3, patch_, patch_}, precision.parameters)),
        class_embedding_(Tensor::zeros(device, {width_})),
        positional_embedding_(Tensor::zeros(device, {grid_ * grid_ + 1, width_})),
        proj_(Tensor::zeros(device, {width_, config.embed_dim}, precision.parameters)),
        ln_pre_(nn::LayerNorm::identity(device, width_)),
        ln_post_(nn::LayerNorm::identity(device, width_, 1e-5f, precision.activations)),
        precision_(precision) {
    const BlockShape shape{width_, config.vision_heads, config.vision_mlp_width,
                           ops::activation_from_name(config.activation)};
    for (int64_t i = 0; i < config.vision_layers[0]; ++i) blocks_.emplace_back(device, shape, precision);
  }

  Tensor forward(Context& context, const Tensor& images) override {
    const int64_t batch = images.dim(0), tokens = grid_ * grid_ + 1;
    ops::Conv2dOptions options;
    options.geometry.stride = static_cast<int>(patch_);
    options.geometry.compute = precision_.compute;
    Tensor x =
        ops::conv2d(context, ops::cast(context, images, precision_.activations), conv1_, Tensor(), options);
    x = ops::cast(context, x, DType::f32);  // [B, C, g, g], f32 as all that is summed up from here on
    x = ops::permute(context, ops::reshape(context, x, {batch, width_, grid_ * grid_}), {0, 2, 1});
    const Tensor first = ops::broadcast_to(context, ops::reshape(context, class_embedding_, {1, 1, width_}),
                                           {batch, 1, width_});
    x = ops::add(context, ops::concat(context, {first, x}, 1), positional_embedding_);
    x = ln_pre_.forward(context, x);
    const auto pattern = AttentionPattern::full(static_cast<int32_t>(tokens));
    for (const auto& block : blocks_) x = block.forward(context, x, pattern);
    const Tensor feature = ops::reshape(context, ops::slice(context, x, 1, 0, 1), {batch, width_});
    return ops::linear_fused(context, ln_post_.forward(context, feature),
                             ops::permute(context, proj_, {1, 0}), {}, {}, DType::f32, precision_.compute);
  }

  void visit(const ParameterVisitor& visitor) override {
    visitor("class_embedding", class_embedding_);
    visitor("positional_embedding", positional_embedding_);
    visitor("proj", proj_);
    visitor("conv1.weight", conv1_);
    ln_pre_.visit("ln_pre", visitor);
    for (size_t i = 0; i < blocks_.size(); ++i) {
      blocks_[i].visit(fmt::format("transformer.resblocks.{}", i), visitor);
    }
    ln_post_.visit("ln_post", visitor);
  }

  void prepare() override {
    for (ResidualAttentionBlock& block : blocks_) block.prepare();
  }

 private:
  int64_t patch_, grid_, width_;
  Tensor conv1_;                 // [C, 3, patch, patch]
  Tensor class_embedding_;       // [C]
  Tensor positional_embedding_;  // [g * g + 1, C]
  Tensor proj_;                  // [C, embed_dim], applied from the right
  nn::LayerNorm ln_pre_, ln_post_;
  Precision precision_;
  std::vector<ResidualAttentionBlock> blocks_;
};

}  // namespace

std::unique_ptr<ImageEncoder> make_vision_transformer(const ClipConfig& config, Device& device,
                                                      const Precision& precision) {
  return std::make_unique<VisionTransformer>(config, device, precision);
}

}  // namespace dalle1::clip
