// Training a dVAE of OpenAI's graph, under either of two quantisers.
//
// "gumbel": the relaxation of the paper (section 2.1): soft one-hot codes at a falling temperature. "vq":
// vector quantisation with a straight-through gradient; it is exported to the same graph, so that what is
// trained under one can go on under the other.
#pragma once

#include <functional>
#include <memory>

#include "core/train/loop.h"
#include "dvae/openai_dvae.h"
#include "dvae/picture_batches.h"
#include "dvae/reconstruction_loss.h"
#include "dvae/vector_quantiser.h"

namespace dalle1::dvae {

/// The fields of `train` that only the dVAE reads.
struct DvaeTraining {
  BatchOptions batches;
  int accumulate = 1;  ///< Batches per update.
  Reconstruction reconstruction = Reconstruction::l1_l2;
  float ln_b_floor = -4.0f;
  VqOptions vq;
  Schedule temperature{ScheduleKind::constant, 1.0, 1.0, 0, 0, 0};
  Schedule kl_weight{ScheduleKind::constant, 0.0, 0.0, 0, 0, 0};  ///< The paper's beta.
  float logit_scale = 1.0f;  ///< Applied once to the logits of the model that training starts from.
  int64_t evaluate_pictures = 48;
  int64_t sheet_pictures = 8;

  static void visit(auto& self, auto& field) {
    constexpr int64_t most = 1 << 16;
    auto& batches = self.batches;
    field("batch", batches.batch, config::within(1, most));
    field("crop", batches.crop, config::within(1, most));
    field("resolution", batches.resolution, config::within(1, most));
    field("crops_per_picture", batches.crops_per_picture, config::within(1, most));
    field("crop_candidates", batches.crop_candidates, config::within(1, 64));
    field("mirror", batches.mirror);
    field("dither", batches.dither);
    field("reconstruction", self.reconstruction, config::one_of({"logit_laplace", "mse", "l1_l2"}));
    field("ln_b_floor", self.ln_b_floor);
    field("vq", self.vq);
    field("temperature", self.temperature);
    field("kl_weight", self.kl_weight);
    field("logit_scale", self.logit_scale);
    field("evaluate_pictures", self.evaluate_pictures, config::within(1, most));
    field("sheet_pictures", self.sheet_pictures, config::within(0, most));
  }
  /// `options` has the steps of the whole run: unused codes are revived during its first four fifths, unless
  /// `train` says otherwise. Error(input) names a wrong field.
  static DvaeTraining from_json(const nlohmann::json& train, const TrainOptions& options);
};

/// The first `count` good pictures of an unshuffled reader: centre squares of resolution x resolution.
std::vector<Image> read_held_out(PairReader& reader, int64_t count, int resolution);

class DvaeTask : public TrainTask {
 public:
  /// Writes a model of the given configuration and parameters into a folder.
  using Exporter = std::function<void(OpenAiDvae& model, const std::filesystem::path& folder)>;

  DvaeTask(Device& device, const OpenAiConfig& config, const DvaeTraining& training, uint64_t seed,
           const Precision& precision = {});

  void set_data(std::shared_ptr<PairReader> reader, std::vector<Image> held_out);
  void set_output(std::filesystem::path folder, Exporter exporter);

  /// The graph: what an initial checkpoint is loaded into before training starts under Gumbel-softmax.
  OpenAiDvae& graph() { return graph_; }
  /// To be called after graph() was loaded: multiplies the logits by logit_scale.
  void scale_logits();

  Module& model() override { return parameters_; }
  Tensor loss(Context& context, int64_t batch, nlohmann::json& log) override;
  void after_step(Context& context, int64_t step) override;
  nlohmann::json evaluate(int64_t step) override;
  void export_model(const std::filesystem::path& folder) override;
  bool trainable(const std::string& name) const override;
  void visit_state(const ParameterVisitor& visitor) override;
  nlohmann::json state() const override;
  void set_state(const nlohmann::json& state) override;

  /// The loss of given pictures; loss() calls it with the batch of a number.
  Tensor loss_of(Context& context, const Tensor& images, nlohmann::json& log);

 private:
  /// The graph's parameters and, under vector quantisation, the projections.
  struct Parameters : Module {
    DvaeTask* task = nullptr;
    void visit(const ParameterVisitor& visitor) override;
  };

  Tensor gumbel_features(Context& context, const Tensor& features, nlohmann::json& log, Tensor& divergence);
  void write_sheet(const std::vector<Image>& decoded, int64_t step) const;

  Device& device_;
  DvaeTraining training_;
  uint64_t seed_;
  OpenAiDvae graph_;
  std::unique_ptr<VectorQuantiser> vq_;  // null under Gumbel-softmax
  Parameters parameters_;
  std::unique_ptr<PictureBatches> batches_;
  std::vector<Image> held_out_;
  std::filesystem::path folder_;
  Exporter exporter_;
};

}  // namespace dalle1::dvae
