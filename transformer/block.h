// The residual block of which transformers are made, and what their trainings know of it.
#pragma once

#include <string>

#include "core/kernels/arguments.h"
#include "core/nn/linear.h"
#include "core/nn/norm.h"
#include "core/nn/parameters.h"
#include "core/tensor/context.h"
#include "transformer/sequence.h"

namespace dalle1::transformer {

/// What the blocks of a model have in common; fields as in TransformerConfig.
struct BlockConfig {
  int32_t width = 0;
  int32_t heads = 1;
  int32_t head_size = 0;
  int32_t mlp_ratio = 4;
  bool gated_mlp = false;
  std::string activation = "gelu_tanh";
  bool reversible = false;
  bool token_shift = false;
  bool sandwich_norm = false;
  bool qk_norm = false;
  float norm_eps = 1e-5f;
  float dropout = 0.0f;
};

/// Pre-norm residual block (DALL-E paper, appendix B; sandwich norms as in Ding et al. 2021).
class Block {
 public:
  /// Block `index` of its model, parameters as in Transformer.
  Block(Device& device, const BlockConfig& config, int index, const Precision& precision);
  /// x [.., C] to [.., C]; of a reversible model its two streams side by side, [.., 2C].
  Tensor forward(Context& context, const Tensor& x, Sequence& sequence) const;
  void visit(const std::string& prefix, const ParameterVisitor& visitor);
  void prepare();

 private:
  /// x + attention(y), and x + MLP(y): the residual branches.
  Tensor add_attention(Context& context, const Tensor& x, const Tensor& y, Sequence& sequence) const;
  Tensor add_mlp(Context& context, const Tensor& x, const Tensor& y, Sequence& sequence) const;
  Tensor add_branch(Context& context, const Tensor& x, const Tensor& branch, const nn::Linear& last,
                    const nn::LayerNorm& post_norm, int place) const;
  /// What a branch begins with; `place` of the branch among those of the model.
  Tensor begin_branch(Context& context, const Tensor& y, const nn::LayerNorm& norm, int place,
                      Sequence& sequence) const;
  Tensor mlp_inner(Context& context, const Tensor& x) const;

  int index_;
  bool reversible_, token_shift_, sandwich_, qk_norm_, gated_;
  int head_size_;
  DType compute_;
  float epsilon_, dropout_;
  Unary activation_;
  nn::LayerNorm attention_norm_, attention_post_norm_, mlp_norm_, mlp_post_norm_;
  nn::Linear qkv_, output_, up_, down_;
};

/// How parameters are drawn at first.
struct Initialisation {
  int32_t width = 0, layers = 0;
  /// The last products of the residual branches and "head.weight" start at zero: every block is the identity
  /// at first, every class equally likely.
  bool zero_ends = false;
};

/// Fills f32 matrices and tables with normal draws of deviation 1 / (2 sqrt(width)), less in the last product
/// of each residual branch; norms and biases stay as they are.
void initialise_parameters(Module& model, const Initialisation& options, uint64_t seed);

/// See TrainTask::hidden_matrices: of a model whose blocks are named "layers.N.".
int hidden_matrices_of(const std::string& name);

}  // namespace dalle1::transformer
