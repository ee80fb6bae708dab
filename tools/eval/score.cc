// dalle1 score: how well pictures fit their captions, and how they compare with other pictures.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "clip/features.h"
#include "clip/picture_scores.h"
#include "core/data/pair_reader.h"
#include "tools/eval/checker.h"
#include "tools/eval/eval_report.h"
#include "tools/eval/scored_pictures.h"
#include "tools/models/clip_model.h"
#include "tools/program/command.h"
#include "tools/train/data_report.h"
#include "tools/train/decoded_samples.h"
#include "tools/train/training.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

using rerank::Json;

constexpr uint64_t kPairsAtOnce = 32;

struct ScoreOptions {
  std::string captions, images, reference, checker;
  std::vector<std::string> metrics = {"clip-s", "clipscore"};
  int keep = 0;
  bool truncate = false;
  double max_bad = 0.001;

  bool asks(std::string_view metric) const {
    return std::find(metrics.begin(), metrics.end(), metric) != metrics.end();
  }
  bool reads_captions() const { return asks("clip-s") || asks("clipscore") || asks("right"); }
  bool needs_clip() const { return asks("clip-s") || asks("clipscore") || asks("frechet"); }
};

void check_score_options(const ScoreOptions& options) {
  check(!options.asks("right") || !options.checker.empty(), ErrorKind::usage,
        "--metric right needs --checker PROGRAM, for instance tools/data/check");
  check(!options.asks("frechet") || !options.reference.empty(), ErrorKind::usage,
        "--metric frechet compares with other pictures: give --reference FOLDER");
  check(options.asks("frechet") || options.reference.empty(), ErrorKind::usage,
        "--reference does nothing without --metric frechet");
}

// The mean of many values with its 95% interval.
Json mean_with_interval(const std::vector<double>& values) {
  constexpr double z = 1.959963984540054;
  double sum = 0, squares = 0;
  for (const double value : values) sum += value;
  const auto count = static_cast<double>(values.size());
  const double mean = sum / count;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const double half = count > 1 ? z * std::sqrt(squares / (count - 1) / count) : 0;
  return {{"value", mean}, {"low", mean - half}, {"high", mean + half}, {"pictures", values.size()}};
}

class Scoring {
 public:
  Scoring(const ScoreOptions& options, const CommonOptions& common)
      : options_(options), common_(common), data_(common) {
    check_score_options(options);
    source_ = open_scored_pictures(options.captions, options.images, options.keep);
    data_.add(source_->summary());
    if (!options.reference.empty()) reference_ = open_scored_pictures(options.reference, "", 0);
    if (options.asks("right")) checker_.emplace(std::vector<std::string>{options.checker, "--serve"});
    device_ = open_device(common);
    if (!options.needs_clip()) return;
    clip_ = open_clip(common, *device_);
    if (options.asks("clip-s") || options.asks("clipscore")) tokenizer_ = open_tokenizer_of(*clip_, common);
  }

  int run() {
    data_.print();
    read_all(source_, options_.reads_captions() ? Captions::required : Captions::ignored,
             [&](const std::vector<Sample>& samples) { score(samples); });
    Json metrics = Json::object();
    if (options_.asks("clip-s")) metrics["clip-s"] = mean_with_interval(clip_s_);
    if (options_.asks("clipscore")) metrics["clipscore"] = mean_with_interval(clip_scores_);
    if (options_.asks("right")) metrics["right"] = share_right();
    if (options_.asks("frechet")) metrics["frechet"] = frechet();
    data_.print();
    common_.json ? print_json(metrics) : print_table(metrics);
    return 0;
  }

 private:
  // Error(input) when no picture can be read.
  void read_all(const std::shared_ptr<const PairSource>& source, Captions captions,
                const std::function<void(const std::vector<Sample>&)>& visit) {
    PairReaderOptions reading;
    reading.shuffle = false;
    reading.captions = captions;
    reading.max_bad = options_.max_bad;
    reading.on_bad = data_.on_bad();
    PairReader reader(source, reading);
    DecodedSamples decoded(reader, source, reading, host_threads(*device_));
    bool any = false;
    for (uint64_t begin = 0; begin < reader.size(); begin += kPairsAtOnce) {
      std::vector<Sample> samples;
      for (uint64_t i = begin; i < std::min(begin + kPairsAtOnce, reader.size()); ++i)
        if (auto sample = decoded.read(i)) samples.push_back(std::move(*sample));
      if (samples.empty()) continue;
      visit(samples);
      any = true;
    }
    check(any, ErrorKind::input, "no picture with a caption can be read");
  }

  Tensor features_of(const std::vector<Sample>& samples) {
    std::vector<Image> pictures;
    for (const auto& sample : samples) pictures.push_back(sample.image);
    return clip::image_features(*clip_, *device_, pictures);
  }

  std::vector<double> cosines_of(const Tensor& pictures, const std::vector<Sample>& samples,
                                 std::string_view prefix) const {
    std::vector<std::string> texts;
    for (const auto& sample : samples) texts.push_back(std::string(prefix) + sample.caption);
    return clip::paired_cosines(pictures,
                                clip::text_features(*clip_, *device_, *tokenizer_, texts, options_.truncate));
  }

  void score(const std::vector<Sample>& samples) {
    const size_t first = rows_.size();
    for (const auto& sample : samples) rows_.push_back({{"image", sample.key}, {"caption", sample.caption}});
    const auto record = [&](const char* metric, const std::vector<double>& values, auto& all) {
      for (size_t i = 0; i < values.size(); ++i) rows_[first + i][metric] = values[i];
      all.insert(all.end(), values.begin(), values.end());
    };
    if (clip_) {
      const Tensor pictures = features_of(samples);
      if (options_.asks("clip-s")) {
        auto values = cosines_of(pictures, samples, "");
        for (double& value : values) value *= 100;
        record("clip-s", values, clip_s_);
      }
      if (options_.asks("clipscore")) {
        auto values = cosines_of(pictures, samples, clip::kClipScorePrefix);
        for (double& value : values) value = clip::clip_score(value);
        record("clipscore", values, clip_scores_);
      }
      if (options_.asks("frechet")) append(features_, pictures);
    }
    if (checker_)
      for (size_t i = 0; i < samples.size(); ++i) check_picture(samples[i], rows_[first + i]);
  }

  static void append(std::vector<float>& all, const Tensor& features) {
    const auto values = features.to_floats();
    all.insert(all.end(), values.begin(), values.end());
  }

  void check_picture(const Sample& sample, Json& row) {
    check(fs::exists(sample.key), ErrorKind::input,
          "{}: the checker reads files, and this is a member of a tar file", sample.key);
    const auto right = checker_->shows(fs::absolute(sample.key), sample.caption);
    row["right"] = right ? Json(*right) : Json();
    ++(right ? checked_ : unchecked_);
    right_ += right.value_or(false);
  }

  Json share_right() const {
    check(checked_ > 0, ErrorKind::input, "{}: the checker {} knows none of its captions", options_.captions,
          options_.checker);
    const auto share = wilson(right_, checked_);
    return {{"value", share.share}, {"low", share.low}, {"high", share.high},
            {"pictures", checked_}, {"right", right_},  {"unchecked", unchecked_}};
  }

  Json frechet() {
    std::vector<float> others;
    read_all(reference_, Captions::ignored,
             [&](const std::vector<Sample>& samples) { append(others, features_of(samples)); });
    const int64_t width = clip_->config().embed_dim;
    const auto count = [&](const std::vector<float>& features) {
      return features.size() / static_cast<size_t>(width);
    };
    return {{"value", clip::frechet_distance(features_, others, width)},
            {"pictures", count(features_)},
            {"reference", count(others)}};
  }

  void print_json(const Json& metrics) const {
    fmt::print("{}\n", json_text({{"captions", options_.captions},
                                  {"metrics", metrics},
                                  {"pictures", rows_},
                                  {"data", data_.json()}}));
  }

  static void print_table(const Json& metrics) {
    fmt::print("{:10}{:>10}  {:22}{:>9}\n", "metric", "value", "95% interval", "pictures");
    for (const auto& [name, row] : metrics.items()) {
      const auto interval = row.contains("low") ? fmt::format("{:.4f} to {:.4f}", row["low"].get<double>(),
                                                              row["high"].get<double>())
                                                : std::string();
      std::string note;
      if (row.contains("reference")) note = fmt::format("  against {}", row["reference"].get<int64_t>());
      if (row.value("unchecked", 0) > 0)
        note = fmt::format("  {} cannot be checked", row["unchecked"].get<int>());
      fmt::print("{:10}{:>10.4f}  {:22}{:>9}{}\n", name, row["value"].get<double>(), interval,
                 row["pictures"].get<int64_t>(), note);
    }
  }

  const ScoreOptions& options_;
  const CommonOptions& common_;
  DataReport data_;
  std::shared_ptr<const PairSource> source_, reference_;
  std::optional<Checker> checker_;
  std::shared_ptr<Device> device_;
  std::unique_ptr<clip::Clip> clip_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  std::vector<Json> rows_;
  std::vector<double> clip_s_, clip_scores_;
  std::vector<float> features_;  // [N, embed_dim], for frechet
  int right_ = 0, checked_ = 0, unchecked_ = 0;
};

}  // namespace

Command score_command() {
  return {
      "score", "Measure how well pictures fit their captions, and how they compare with other pictures",
      "dalle1 score --captions dalle1-out/a-red-circle-0 --metric clip-s,clipscore",
      [](CLI::App& app, CommonOptions& common) {
        auto options = std::make_shared<ScoreOptions>();
        add_model_options(app, common);
        app.add_option("--captions", options->captions,
                       "A run's folder, a folder of pictures with captions, a captions.jsonl or tar shards")
            ->required();
        app.add_option("--images", options->images,
                       "Where the pictures of a captions.jsonl are (default: beside it)");
        add_list_option(app, "--metric", options->metrics,
                        "clip-s: mean cosine of CLIP, times 100; clipscore: 2.5 max(cosine, 0) of \"A photo "
                        "depicts CAPTION\"; right: share that the checker accepts; frechet: distance of "
                        "CLIP's features from --reference's")
            ->check(CLI::IsMember({"clip-s", "clipscore", "right", "frechet"}))
            ->default_str("clip-s,clipscore");
        app.add_option("--checker", options->checker,
                       "For right: a program that answers {\"image\", \"caption\"} with {\"right\"}");
        app.add_option("--reference", options->reference, "For frechet: the other pictures");
        app.add_option("--keep", options->keep, "Of a run only the best so many of each prompt")
            ->check(CLI::Range(1, 1000000));
        app.add_flag("--truncate", options->truncate, "Cut captions that are too long for CLIP");
        add_max_bad_option(app, options->max_bad);
        return [options, &common] { return Scoring(*options, common).run(); };
      }};
}

}  // namespace dalle1::tools
