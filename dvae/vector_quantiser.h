// Vector quantisation with a codebook that follows the encoder (van den Oord et al. 2017, appendix A.1).
#pragma once

#include "core/config/fields.h"
#include "core/nn/conv2d.h"

namespace dalle1::dvae {

struct VqOptions {
  int64_t dimensions = 16;   ///< Of a code.
  float decay = 0.98f;       ///< Of the running counts and sums.
  float commitment = 0.25f;  ///< Weight of the loss that draws the encoder to its codes.
  /// Steps without quantisation at the start; then k-means makes the codebook.
  int64_t continuous_steps = 100;
  int64_t revive_until = 0;  ///< Step from which unused codes are left alone; 0: never revived.

  static void visit(auto& self, auto& field) {
    constexpr int64_t most_steps = 1 << 30;
    field("dimensions", self.dimensions, config::within(1, 1 << 16));
    field("decay", self.decay, config::between(0, 1));
    field("commitment", self.commitment);
    field("continuous_steps", self.continuous_steps, config::within(1, most_steps));
    field("revive_until", self.revive_until, config::within(0, most_steps));
  }
};

/// The codebook and the two projections between it and the model's features.
class VectorQuantiser : public Module {
 public:
  VectorQuantiser(Device& device, int64_t codes, int64_t features, int64_t decoder_init,
                  const VqOptions& options, uint64_t seed);

  struct Output {
    Tensor features;    ///< [B, decoder_init, h, w], what the decoder goes on with.
    Tensor commitment;  ///< [1], weighted.
  };
  /// Features of the encoder [B, C, h, w]; before the codebook exists they pass unquantised. Remembers the
  /// vectors for update().
  Output forward(Context& context, const Tensor& features);

  /// After step number `step`: moves the codebook to the remembered vectors, makes it when its time has come,
  /// and gives dead codes to vectors that are badly quantised.
  void update(int64_t step, uint64_t seed);

  bool has_codebook() const { return ready_; }
  void set_has_codebook(bool ready) { ready_ = ready; }
  /// Mean squared distance of the last vectors to their codes, per dimension.
  double last_error() const { return last_error_; }

  /// The trained projections; the codebook is visit_state's.
  void visit(const ParameterVisitor& visitor) override;
  void visit_state(const ParameterVisitor& visitor);

  /// The same function as convolutions around one-hot codes: logits = 2 e_k . z - |e_k|^2, which is the
  /// negative squared distance up to a term that all codes share, and a table of projected codes.
  void export_to(nn::Conv2d& encoder_output, nn::Conv2d& decoder_input) const;

 private:
  Tensor nearest(const Tensor& vectors) const;  // [N, D] to i64 [N]
  void collect(int64_t step);
  void make_codebook(const std::vector<float>& vectors, uint64_t seed);
  void follow(const std::vector<float>& vectors, const std::vector<int64_t>& indices);
  void revive(const std::vector<float>& vectors, const std::vector<int64_t>& indices, int64_t step,
              uint64_t seed);
  void rewrite_codebook(const std::vector<float>& counts, const std::vector<float>& sums);

  VqOptions options_;
  nn::Conv2d input_;   // 1x1, to `dimensions`
  nn::Conv2d output_;  // 1x1, from `dimensions`
  Tensor codebook_;    // [K, D]
  Tensor counts_;      // [K] running uses per step
  Tensor sums_;        // [K, D] running sums of the vectors that chose the code
  bool ready_ = false;
  double last_error_ = 0;
  Tensor collected_;          // [R, D] vectors of the last continuous steps, for k-means
  Tensor vectors_, indices_;  // of the last forward
};

}  // namespace dalle1::dvae
