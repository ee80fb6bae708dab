#include "dvae/trainer.h"

#include <cmath>

#include "core/image/png.h"
#include "core/image/resample.h"
#include "core/image/sheet.h"
#include "core/ops/elementwise.h"
#include "core/ops/linear.h"
#include "core/ops/movement.h"
#include "core/ops/softmax.h"
#include "dvae/picture_metrics.h"

namespace dalle1::dvae {
namespace {

constexpr uint32_t kGumbelPlace = 0;
constexpr float kLeastShareOfCodes = 0.1f;

bool is_graph_end(const std::string& name) {
  return name.starts_with("encoder.blocks.output.") || name.starts_with("decoder.blocks.input.");
}

}  // namespace

DvaeTraining DvaeTraining::from_json(const nlohmann::json& train, const TrainOptions& options) {
  DvaeTraining t;
  t.accumulate = options.accumulate;
  t.batches.seed = options.seed;
  t.batches.share = options.share();
  t.vq.revive_until = options.steps * 4 / 5;
  config::read_known(train, t, {ErrorKind::input, "train"});
  return t;
}

std::vector<Image> read_held_out(PairReader& reader, int64_t count, int resolution) {
  std::vector<Image> images;
  for (uint64_t i = 0; i < reader.size() && static_cast<int64_t>(images.size()) < count; ++i) {
    if (const auto sample = reader.read(i)) images.push_back(fit_square(to_rgb(sample->image), resolution));
  }
  return images;
}

void DvaeTask::Parameters::visit(const ParameterVisitor& visitor) {
  if (!task->vq_) return task->graph_.visit(visitor);
  task->graph_.visit([&](const std::string& name, Tensor& tensor) {
    if (!is_graph_end(name)) visitor(name, tensor);
  });
  task->vq_->visit(visitor);
}

DvaeTask::DvaeTask(Device& device, const OpenAiConfig& config, const DvaeTraining& training, uint64_t seed,
                   const Precision& precision)
    : device_(device), training_(training), seed_(seed), graph_(device, config, precision) {
  check(config.quantiser == "gumbel" || config.quantiser == "vq", ErrorKind::input,
        "'quantiser' is '{}'; use gumbel or vq", config.quantiser);
  check(config.output_channels == 2 * config.channels ||
            training.reconstruction != Reconstruction::logit_laplace,
        ErrorKind::input, "logit_laplace needs 'output_channels' of twice 'channels'");
  initialise(graph_, seed);
  parameters_.task = this;
  if (config.quantiser == "vq") {
    const int64_t features = config.hidden << (config.groups - 1);
    vq_ = std::make_unique<VectorQuantiser>(device, config.codes, features, config.decoder_init, training.vq,
                                            seed);
  }
}

void DvaeTask::set_data(std::shared_ptr<PairReader> reader, std::vector<Image> held_out) {
  batches_ = std::make_unique<PictureBatches>(std::move(reader), training_.batches);
  held_out_ = std::move(held_out);
}

void DvaeTask::set_output(std::filesystem::path folder, Exporter exporter) {
  folder_ = std::move(folder);
  exporter_ = std::move(exporter);
}

void DvaeTask::scale_logits() {
  Context context(device_);
  for (const Tensor& tensor : {graph_.encoder_output().weight, graph_.encoder_output().bias})
    tensor.copy_from(ops::affine(context, tensor, training_.logit_scale));
}

Tensor DvaeTask::loss(Context& context, int64_t batch, nlohmann::json& log) {
  return loss_of(context, batches_->get(device_, batch), log);
}

Tensor DvaeTask::loss_of(Context& context, const Tensor& images, nlohmann::json& log) {
  const Tensor features = graph_.encode_features(context, images);
  Tensor extra, quantised;
  if (vq_) {
    const VectorQuantiser::Output output = vq_->forward(context, features);
    quantised = output.features;
    extra = output.commitment;
    log["quantisation_error"] = vq_->last_error();
  } else {
    quantised = gumbel_features(context, features, log, extra);
  }
  const Tensor stats = graph_.decode_features(context, quantised);
  const Tensor reconstruction =
      reconstruction_loss(context, training_.reconstruction, stats, images, training_.ln_b_floor);
  log["reconstruction"] = reconstruction.item();
  return extra.defined() ? ops::add(context, reconstruction, extra) : reconstruction;
}

// Soft codes at the step's temperature; `divergence` is the weighted KL term where it has a weight.
Tensor DvaeTask::gumbel_features(Context& context, const Tensor& features, nlohmann::json& log,
                                 Tensor& divergence) {
  const auto step = static_cast<int64_t>(context.step) / training_.accumulate;
  const auto temperature = static_cast<float>(training_.temperature.at(step));
  const auto weight = static_cast<float>(training_.kl_weight.at(step));
  const Tensor logits = ops::permute(context, graph_.logits_of(context, features), {0, 2, 3, 1});
  const Shape grid = logits.shape();
  const Tensor codes = ops::gumbel_softmax(context, logits, temperature, kGumbelPlace);
  log["temperature"] = temperature;
  if (weight > 0) {
    // The paper sums the likelihood over pixels and the divergence over positions, and divides by pixels.
    const int64_t side = graph_.downsampling();
    const float per_value = 1.0f / static_cast<float>(side * side * graph_.options().channels);
    const Tensor kl = divergence_from_uniform(context, logits);
    log["kl"] = kl.item();
    divergence = ops::affine(context, kl, weight * per_value);
  }
  const Tensor flat = ops::reshape(context, codes, {grid[0] * grid[1] * grid[2], grid[3]});
  const Tensor rows = ops::matmul(context, flat, graph_.code_table(context));
  const Tensor picture = ops::reshape(context, rows, {grid[0], grid[1], grid[2], rows.dim(1)});
  return ops::permute(context, picture, {0, 3, 1, 2});
}

void DvaeTask::after_step(Context& context, int64_t step) {
  if (vq_) vq_->update(step, seed_);
}

nlohmann::json DvaeTask::evaluate(int64_t step) {
  if (held_out_.empty() || (vq_ && !vq_->has_codebook())) return nlohmann::json::object();
  if (vq_) vq_->export_to(graph_.encoder_output(), graph_.decoder_input());
  Context context(device_);
  CodeUse use(graph_.codes());
  double squared = 0, similarity = 0;
  std::vector<Image> decoded;
  for (const Image& image : held_out_) {
    const Tensor indices = graph_.encode_indices(context, tensor_of_images(device_, {image}));
    use.add(indices.to_ints());
    const Image result = images_of_tensor(graph_.decode(context, indices))[0];
    const Image given = crop(image, 0, 0, result.width, result.height);
    squared += mean_squared_error(given, result);
    similarity += ssim(given, result);
    if (static_cast<int64_t>(decoded.size()) < training_.sheet_pictures) decoded.push_back(result);
  }
  const auto count = static_cast<double>(held_out_.size());
  nlohmann::json row = {{"psnr", psnr_of(squared / count)},
                        {"ssim", similarity / count},
                        {"codes_used", use.used()},
                        {"perplexity", use.perplexity()}};
  if (static_cast<float>(use.used()) < kLeastShareOfCodes * static_cast<float>(graph_.codes())) {
    row["warning"] =
        fmt::format("only {} of {} codes are used: the codebook is collapsing", use.used(), graph_.codes());
  }
  write_sheet(decoded, step);
  return row;
}

// Originals above their reconstructions.
void DvaeTask::write_sheet(const std::vector<Image>& decoded, int64_t step) const {
  if (folder_.empty() || decoded.empty()) return;
  std::vector<SheetCell> cells;
  for (size_t i = 0; i < decoded.size(); ++i) {
    cells.push_back({crop(held_out_[i], 0, 0, decoded[i].width, decoded[i].height)});
  }
  for (const Image& image : decoded) cells.push_back({image});
  SheetOptions options;
  options.title = fmt::format("step {}", step);
  options.columns = static_cast<int>(decoded.size());
  const auto sheets = folder_ / "sheets";
  std::filesystem::create_directories(sheets);
  write_png(sheets / fmt::format("step-{:06}.png", step), draw_sheet(cells, options));
}

void DvaeTask::export_model(const std::filesystem::path& folder) {
  if (vq_ && !vq_->has_codebook()) return;  // nothing to use yet
  if (vq_) vq_->export_to(graph_.encoder_output(), graph_.decoder_input());
  if (exporter_) exporter_(graph_, folder);
}

bool DvaeTask::trainable(const std::string& name) const { return !vq_ || !is_graph_end(name); }

void DvaeTask::visit_state(const ParameterVisitor& visitor) {
  if (vq_) vq_->visit_state(visitor);
}

nlohmann::json DvaeTask::state() const {
  return vq_ ? nlohmann::json{{"has_codebook", vq_->has_codebook()}} : nlohmann::json::object();
}

void DvaeTask::set_state(const nlohmann::json& state) {
  if (vq_) vq_->set_has_codebook(state.at("has_codebook").get<bool>());
}

}  // namespace dalle1::dvae
