#include <array>
#include <cmath>
#include <optional>

#include "clip/blocks.h"
#include "clip/vision.h"
#include "core/ops/attention.h"
#include "core/ops/conv2d.h"
#include "core/ops/elementwise.h"
#include "core/ops/movement.h"
#include "core/ops/pool.h"
#include "core/ops/reduce.h"

namespace dalle1::clip {
namespace {

constexpr float kBatchNormEpsilon = 1e-5f;
constexpr int64_t kExpansion = 4;

// A convolution without bias and the batch norm after it, folded into one convolution:
// w' = w * s, b' = beta - mean * s with s = gamma / sqrt(variance + epsilon).
class ConvNorm {
 public:
  ConvNorm() = default;
  ConvNorm(Device& device, int64_t in, int64_t out, int64_t kernel, DType compute)
      : w_(Tensor::zeros(device, {out, in, kernel, kernel})),
        gamma_(Tensor::full(device, {out}, 1.0f)),
        beta_(Tensor::zeros(device, {out})),
        mean_(Tensor::zeros(device, {out})),
        variance_(Tensor::full(device, {out}, 1.0f)),
        compute_(compute) {}

  Tensor forward(Context& context, const Tensor& x, ops::Conv2dOptions options = {}) const {
    const Tensor deviation = ops::affine(context, variance_, 1.0f, kBatchNormEpsilon);
    const Tensor scale = ops::mul(context, gamma_, ops::unary(context, Unary::rsqrt, deviation));
    const Tensor w = ops::mul(context, w_, ops::reshape(context, scale, {w_.dim(0), 1, 1, 1}));
    const Tensor b = ops::sub(context, beta_, ops::mul(context, mean_, scale));
    const int stride = options.geometry.stride;
    const int pad = static_cast<int>(w_.dim(2) - 1) / 2;
    options.geometry = {stride, pad, pad, pad, pad, compute_};
    return ops::conv2d(context, x, w, b, options);
  }
  Tensor with_relu(Context& context, const Tensor& x, int stride = 1) const {
    ops::Conv2dOptions options;
    options.geometry.stride = stride;
    options.relu = true;
    return forward(context, x, options);
  }

  void visit(const std::string& conv, const std::string& norm, const ParameterVisitor& visitor) {
    visitor(conv + ".weight", w_);
    visitor(norm + ".weight", gamma_);
    visitor(norm + ".bias", beta_);
    visitor(norm + ".running_mean", mean_);
    visitor(norm + ".running_var", variance_);
  }

 private:
  Tensor w_;                               // [O, C, k, k]
  Tensor gamma_, beta_, mean_, variance_;  // [O]
  DType compute_ = DType::f32;
};

class Bottleneck {
 public:
  Bottleneck(Device& device, int64_t in, int64_t planes, int stride, DType compute)
      : stride_(stride),
        conv1_(device, in, planes, 1, compute),
        conv2_(device, planes, planes, 3, compute),
        conv3_(device, planes, planes * kExpansion, 1, compute) {
    if (stride > 1 || in != planes * kExpansion)
      downsample_.emplace(device, in, planes * kExpansion, 1, compute);
  }

  Tensor forward(Context& context, const Tensor& x) const {
    auto pooled = [&](const Tensor& t) { return stride_ > 1 ? ops::avg_pool(context, t, stride_) : t; };
    const Tensor h = pooled(conv2_.with_relu(context, conv1_.with_relu(context, x)));
    ops::Conv2dOptions options;
    options.residual = downsample_ ? downsample_->forward(context, pooled(x)) : x;
    options.relu = true;
    return conv3_.forward(context, h, options);
  }

  void visit(const std::string& name, const ParameterVisitor& visitor) {
    conv1_.visit(name + ".conv1", name + ".bn1", visitor);
    conv2_.visit(name + ".conv2", name + ".bn2", visitor);
    conv3_.visit(name + ".conv3", name + ".bn3", visitor);
    if (downsample_) downsample_->visit(name + ".downsample.0", name + ".downsample.1", visitor);
  }

 private:
  int stride_;
  ConvNorm conv1_, conv2_, conv3_;
  std::optional<ConvNorm> downsample_;
};

// One query, the mean of all places, attends to itself and to them.
class AttentionPool {
 public:
  AttentionPool(Device& device, int64_t side, int64_t width, int64_t heads, int64_t out,
                const Precision& precision)
      : heads_(heads),
        precision_(precision),
        positional_embedding_(Tensor::zeros(device, {side * side + 1, width})),
        q_(nn::Linear::zeros(device, width, width, precision)),
        k_(nn::Linear::zeros(device, width, width, precision)),
        v_(nn::Linear::zeros(device, width, width, precision)),
        c_(nn::Linear::zeros(device, out, width, precision)) {}

  Tensor forward(Context& context, const Tensor& x) const {
    const int64_t batch = x.dim(0), width = x.dim(1), places = x.dim(2) * x.dim(3);
    Tensor tokens = ops::permute(context, ops::reshape(context, x, {batch, width, places}), {0, 2, 1});
    const Tensor mean =
        ops::affine(context, ops::sum(context, tokens, {1}), 1.0f / static_cast<float>(places));
    tokens = ops::add(context, ops::concat(context, {mean, tokens}, 1), positional_embedding_);
    tokens = ops::cast(context, tokens, precision_.activations);
    const Tensor query = ops::slice(context, tokens, 1, 0, 1);
    const auto pattern = AttentionPattern::full(static_cast<int32_t>(places + 1));
    const auto split = [&](const Tensor& projected) {
      return ops::reshape(context, projected, {batch, projected.dim(1), heads_, width / heads_});
    };
    const float scale = 1.0f / std::sqrt(static_cast<float>(width / heads_));
    const Tensor pooled =
        ops::attention(context, split(q_.forward(context, query)), split(k_.forward(context, tokens)),
                       split(v_.forward(context, tokens)), pattern, scale, precision_.compute);
    const Tensor feature = c_.forward(context, ops::reshape(context, pooled, query.shape()), {}, DType::f32);
    return ops::reshape(context, feature, {batch, -1});
  }

  void visit(const std::string& name, const ParameterVisitor& visitor) {
    visitor(name + ".positional_embedding", positional_embedding_);
    k_.visit(name + ".k_proj", visitor);
    q_.visit(name + ".q_proj", visitor);
    v_.visit(name + ".v_proj", visitor);
    c_.visit(name + ".c_proj", visitor);
  }

  void prepare() {
    for (nn::Linear* layer : {&q_, &k_, &v_, &c_}) layer->prepare();
  }

 private:
  int64_t heads_;
  Precision precision_;
  Tensor positional_embedding_;  // [side * side + 1, C]
  nn::Linear q_, k_, v_, c_;
};

class ModifiedResNet final : public ImageEncoder {
 public:
  ModifiedResNet(const ClipConfig& config, Device& device, const Precision& precision)
      : precision_(precision),
        conv1_(device, 3, config.vision_width / 2, 3, precision.compute),
        conv2_(device, config.vision_width / 2, config.vision_width / 2, 3, precision.compute),
        conv3_(device, config.vision_width / 2, config.vision_width, 3, precision.compute),
        pool_(device, config.image_resolution / 32, config.vision_width * 32, config.vision_heads,
              config.embed_dim, precision) {
    int64_t channels = config.vision_width;
    for (size_t stage = 0; stage < 4; ++stage) {
      const int64_t planes = config.vision_width << stage;
      for (int64_t i = 0; i < config.vision_layers[stage]; ++i) {
        stages_[stage].emplace_back(device, channels, planes, stage > 0 && i == 0 ? 2 : 1, precision.compute);
        channels = planes * kExpansion;
      }
    }
  }

  Tensor forward(Context& context, const Tensor& images) override {
    Tensor x = conv1_.with_relu(context, ops::cast(context, images, precision_.activations), 2);
    x = conv3_.with_relu(context, conv2_.with_relu(context, x));
    x = ops::avg_pool(context, x, 2);
    for (const auto& stage : stages_) {
      for (const Bottleneck& block : stage) x = block.forward(context, x);
    }
    return pool_.forward(context, ops::cast(context, x, DType::f32));
  }

  void visit(const ParameterVisitor& visitor) override {
    conv1_.visit("conv1", "bn1", visitor);
    conv2_.visit("conv2", "bn2", visitor);
    conv3_.visit("conv3", "bn3", visitor);
    for (size_t stage = 0; stage < 4; ++stage) {
      for (size_t i = 0; i < stages_[stage].size(); ++i) {
        stages_[stage][i].visit(fmt::format("layer{}.{}", stage + 1, i), visitor);
      }
    }
    pool_.visit("attnpool", visitor);
  }

  void prepare() override { pool_.prepare(); }

 private:
  Precision precision_;
  ConvNorm conv1_, conv2_, conv3_;
  std::array<std::vector<Bottleneck>, 4> stages_;
  AttentionPool pool_;
};

}  // namespace

std::unique_ptr<ImageEncoder> make_modified_resnet(const ClipConfig& config, Device& device,
                                                   const Precision& precision) {
  return std::make_unique<ModifiedResNet>(config, device, precision);
}

}  // namespace dalle1::clip
