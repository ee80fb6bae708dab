// dalle1 classify: which of some texts fits a picture best.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "clip/features.h"
#include "core/io/text_file.h"
#include "tools/models/clip_model.h"
#include "tools/program/command.h"

namespace dalle1::tools {
namespace {

struct ClassifyOptions {
  std::vector<std::string> pictures, labels;
  std::string labels_file;
  bool truncate = false;
};

std::vector<std::string> read_labels(const ClassifyOptions& options) {
  std::vector<std::string> labels = options.labels;
  if (!options.labels_file.empty()) {
    TextLines lines(options.labels_file);
    for (std::string line; lines.next(line);)
      if (!is_blank(line)) labels.push_back(line);
  }
  check(labels.size() >= 2, ErrorKind::usage, "classify needs two labels or more; {} given", labels.size());
  return labels;
}

std::vector<double> softmax(const float* cosines, size_t count, double scale) {
  const double largest = scale * *std::max_element(cosines, cosines + count);
  std::vector<double> probabilities;
  for (size_t i = 0; i < count; ++i) probabilities.push_back(std::exp(scale * cosines[i] - largest));
  const double sum = std::accumulate(probabilities.begin(), probabilities.end(), 0.0);
  for (double& probability : probabilities) probability /= sum;
  return probabilities;
}

int classify(const ClassifyOptions& options, const CommonOptions& common) {
  const auto labels = read_labels(options);
  const GivenPictures pictures(options.pictures);
  const auto device = open_device(common);
  const auto clip = open_clip(common, *device);
  const Tensor texts =
      clip::text_features(*clip, *device, *open_tokenizer_of(*clip, common), labels, options.truncate);
  const auto cosines =
      clip::cosines(clip::image_features(*clip, *device, pictures.images), texts).to_floats();
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (size_t i = 0; i < pictures.paths.size(); ++i) {
    const auto probabilities = softmax(&cosines[i * labels.size()], labels.size(), clip->scale());
    std::vector<size_t> order(labels.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return probabilities[a] > probabilities[b]; });
    nlohmann::ordered_json row = {{"picture", pictures.paths[i]},
                                  {"labels", nlohmann::ordered_json::array()}};
    for (const size_t label : order) {
      row["labels"].push_back({{"label", labels[label]},
                               {"probability", probabilities[label]},
                               {"cosine", cosines[i * labels.size() + label]}});
      if (!common.json)
        fmt::print("{:.4f}  {}  {}\n", probabilities[label], pictures.paths[i], labels[label]);
    }
    rows.push_back(row);
  }
  if (common.json) fmt::print("{}\n", json_text({{"pictures", rows}}));
  pictures.check_all_read();
  return 0;
}

}  // namespace

Command classify_command() {
  return {"classify", "Tell which of some texts fits each picture, by CLIP",
          "dalle1 classify --labels \"a red circle,a blue circle\" picture.png",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<ClassifyOptions>();
            add_model_options(app, common);
            app.add_option("pictures", options->pictures, "PNG or JPEG files")->required();
            add_list_option(app, "--labels", options->labels, "The texts, separated by commas or repeated");
            app.add_option("--labels-file", options->labels_file, "The texts, one a line");
            app.add_flag("--truncate", options->truncate, "Cut labels that are too long for CLIP");
            return [options, &common] { return classify(*options, common); };
          }};
}

}  // namespace dalle1::tools
