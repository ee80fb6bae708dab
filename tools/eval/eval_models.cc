#include "tools/eval/eval_models.h"

#include <algorithm>
#include <map>
#include <numbers>

#include "clip/evaluation.h"
#include "clip/preprocess.h"
#include "clip/trainer.h"
#include "core/data/caption_text.h"
#include "core/data/data_lines.h"
#include "core/data/pair_source.h"
#include "core/error.h"
#include "core/image/resample.h"
#include "core/json.h"
#include "dvae/picture_metrics.h"
#include "tools/train/training.h"
#include "transformer/loss.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

using rerank::Json;

constexpr int kGroup = 64;  // pairs among which CLIP looks for the right one

struct Line {
  fs::path image;
  std::string caption, kind;
};

struct Lines {
  std::vector<Line> lines;
  uint64_t without_caption = 0;
};

Lines read_lines(const fs::path& path, const std::vector<std::string>& kinds) {
  DataLines file(path);
  Lines found;
  while (const auto text = file.next()) {
    const auto row = parse_json_object(*text, file.where());
    const std::string image = picture_path_of(row);
    const auto captions = captions_of(row, file.where());
    check(!image.empty() && captions.has_value(), ErrorKind::input,
          "{}: no JSON object with \"image\" and \"caption\"", file.where());
    const auto kind =
        row.contains("kind") && row["kind"].is_string() ? row["kind"].get<std::string>() : "pictures";
    if (!kinds.empty() && std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) continue;
    found.without_caption += captions->empty();
    if (!captions->empty()) found.lines.push_back({path.parent_path() / image, captions->front(), kind});
  }
  check(!found.lines.empty(), ErrorKind::input, "{}: no such pictures in it", path.string());
  return found;
}

// The pictures' places by kind; all of them under "all", which comes last, where there are several kinds.
std::vector<std::pair<std::string, std::vector<size_t>>> groups_of(
    const std::vector<HeldOutPicture>& pictures) {
  std::map<std::string, std::vector<size_t>> by_kind;
  std::vector<size_t> all;
  for (size_t i = 0; i < pictures.size(); ++i) {
    by_kind[pictures[i].kind].push_back(i);
    all.push_back(i);
  }
  std::vector<std::pair<std::string, std::vector<size_t>>> groups(by_kind.begin(), by_kind.end());
  if (groups.size() > 1) groups.emplace_back("all", std::move(all));
  return groups;
}

double mean_of(const std::vector<double>& values, const std::vector<size_t>& places) {
  double sum = 0;
  for (const size_t place : places) sum += values[place];
  return sum / static_cast<double>(places.size());
}

}  // namespace

std::vector<HeldOutPicture> read_held_out(const fs::path& where, const std::vector<std::string>& kinds,
                                          int limit, int side, DataReport& report) {
  const fs::path file = fs::is_directory(where) ? captions_file_in(where) : where;
  check(!file.empty(), ErrorKind::input, "{}: has no captions.jsonl", where.string());
  const auto [lines, without_caption] = read_lines(file, kinds);
  report.add({.samples = lines.size() + without_caption, .without_caption = without_caption});
  report.print();
  const size_t count = std::min(lines.size(), static_cast<size_t>(limit));
  std::vector<HeldOutPicture> pictures;
  for (size_t i = 0; i < count; ++i) {
    const auto& line = lines[i * lines.size() / count];
    pictures.push_back({line.caption, line.kind, fit_square(to_rgb(read_image(line.image)), side), {}});
  }
  return pictures;
}

Json measure_dvae(rerank::ModelSet& models, std::vector<HeldOutPicture>& pictures) {
  auto& decoder = models.decoder();
  dvae::CodeUse use(models.config().image_vocab);
  std::vector<double> errors, similarities;
  for (auto& held_out : pictures) {
    held_out.tokens = decoder.encode(held_out.picture);
    use.add({held_out.tokens.begin(), held_out.tokens.end()});
    const auto decoded = decoder.decode(held_out.tokens, 1).front();
    const auto given = fit_square(held_out.picture, decoder.picture_size());
    errors.push_back(dvae::mean_squared_error(given, decoded));
    similarities.push_back(dvae::ssim(given, decoded));
  }
  Json kinds = Json::array();
  for (const auto& [kind, places] : groups_of(pictures))
    kinds.push_back({{"kind", kind},
                     {"pictures", places.size()},
                     {"psnr", dvae::psnr_of(mean_of(errors, places))},
                     {"ssim", mean_of(similarities, places)}});
  return {{"kinds", kinds}, {"codes_used", use.used()}, {"perplexity", use.perplexity()}};
}

Json measure_transformer(rerank::ModelSet& models, const std::vector<HeldOutPicture>& pictures) {
  auto& device = models.device();
  Context context(device);
  std::vector<double> nats(pictures.size());
  for (size_t i = 0; i < pictures.size(); ++i) {
    const auto text = models.text_slots(pictures[i].caption, /*truncate=*/true);
    const std::vector<int64_t> image(pictures[i].tokens.begin(), pictures[i].tokens.end());
    const auto slots = static_cast<int64_t>(text.size()), cells = static_cast<int64_t>(image.size());
    nats[i] = transformer::compute_loss(
                  context, models.transformer(),
                  {Tensor::from(device, {1, slots}, text), Tensor::from(device, {1, cells}, image)}, {})
                  .image;
  }
  Json kinds = Json::array();
  for (const auto& [kind, places] : groups_of(pictures)) {
    const double mean = mean_of(nats, places);
    kinds.push_back({{"kind", kind},
                     {"pictures", places.size()},
                     {"image_nats", mean},
                     {"image_bits", mean / std::numbers::ln2}});
  }
  return {{"kinds", kinds}};
}

Json measure_clip(rerank::ModelSet& models, const std::vector<HeldOutPicture>& pictures,
                  const std::string& near_misses) {
  const auto group = std::min(static_cast<int>(pictures.size()), kGroup);
  if (group < 2) return nullptr;
  clip::ClipTraining training;
  if (!near_misses.empty()) {
    const auto train = read_training_file(near_misses).train;
    training = clip::ClipTraining::from_json(train, /*seed=*/0);
  }
  auto& model = models.clip();
  std::vector<clip::HeldOutPair> pairs;
  for (const auto& picture : pictures)
    pairs.push_back(
        {clip::fit_to_resolution(picture.picture, model.config().image_resolution), picture.caption});
  const clip::Evaluation evaluation(std::move(pairs), training.word_classes, training.ignored_words, group,
                                    0);
  Json json = evaluation.run(model, models.device(), models.clip_tokenizer());
  json["pictures"] = pictures.size();
  json["group"] = group;
  return json;
}

}  // namespace dalle1::tools
