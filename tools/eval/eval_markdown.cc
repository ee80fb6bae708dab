// An evaluation as the tables of a model card.
#include <fmt/format.h>

#include "tools/eval/eval_report.h"

namespace dalle1::tools {
namespace {

using rerank::Json;

std::string row(const std::vector<std::string>& cells) {
  return fmt::format("| {} |\n", fmt::join(cells, " | "));
}

std::string head(const std::vector<std::string>& cells) {
  return row(cells) + row(std::vector<std::string>(cells.size(), "---"));
}

std::string percent(const Json& value) {
  return value.is_null() ? "" : fmt::format("{:.1f}%", 100 * value.get<double>());
}

// "12.5% (7-21)"
std::string share(const Json& share) {
  if (share["count"] == 0) return "not checked";
  return fmt::format("{} ({:.0f}-{:.0f})", percent(share["share"]), 100 * share["low"].get<double>(),
                     100 * share["high"].get<double>());
}

std::string shares(const Json& document) {
  const auto most = document["curve"].empty() ? 0 : document["curve"].back()["n"].get<int>();
  std::string text = fmt::format(
      "Share of prompts that the picture shows, and 95% interval. Control: the same pictures against "
      "captions that are not theirs.\n\n");
  text += head({"kind", "prompts", "first candidate", fmt::format("best of {} by score", most),
                fmt::format("any of {} (oracle)", most), "control: first", "control: best", "control: any"});
  for (const auto& kind : document["kinds"])
    text += row({kind["kind"].get<std::string>() + (kind["held_out"].get<bool>() ? ", held out" : ""),
                 std::to_string(kind["first"]["count"].get<int>()), share(kind["first"]), share(kind["best"]),
                 share(kind["oracle"]), share(kind["control_first"]), share(kind["control_best"]),
                 share(kind["control_oracle"])});
  return text;
}

std::string curve(const Json& document) {
  std::string text =
      "\nThe same against the number of candidates N (means over prompts, from one pool each):\n\n";
  text += head({"N", "best by score", "any (oracle)", "control: best", "control: any"});
  for (const auto& point : document["curve"])
    text += row({std::to_string(point["n"].get<int>()), percent(point["best"]), percent(point["oracle"]),
                 percent(point["control_best"]), percent(point["control_oracle"])});
  return text;
}

std::string models(const Json& measured) {
  std::string text = "\nOn held-out pictures:\n\n";
  text += head({"kind", "pictures", "dVAE PSNR", "SSIM", "transformer, nats a token", "bits a token"});
  const auto &dvae = measured["dvae"]["kinds"], &transformer = measured["transformer"]["kinds"];
  for (size_t i = 0; i < dvae.size(); ++i)
    text += row({dvae[i]["kind"], std::to_string(dvae[i]["pictures"].get<int>()),
                 fmt::format("{:.1f} dB", dvae[i]["psnr"].get<double>()),
                 fmt::format("{:.3f}", dvae[i]["ssim"].get<double>()),
                 fmt::format("{:.3f}", transformer[i]["image_nats"].get<double>()),
                 fmt::format("{:.3f}", transformer[i]["image_bits"].get<double>())});
  text += fmt::format("\nThey use {} codes, perplexity {:.0f}.\n", measured["dvae"]["codes_used"].get<int>(),
                      measured["dvae"]["perplexity"].get<double>());
  return text;
}

std::string clip(const Json& measured) {
  std::string text =
      fmt::format("\nCLIP, among {} held-out pairs at a time:\n\n", measured["group"].get<int>());
  text += head({"figure", "share"});
  const std::vector<std::pair<std::string, std::string>> figures = {
      {"recall_1", "right caption first"},
      {"recall_5", "right caption among the first 5"},
      {"picture_recall_1", "right picture first"},
      {"picture_recall_5", "right picture among the first 5"},
      {"recall_1_hard", "right caption first, its near misses being there too"},
      {"near_miss", "right caption against one near miss"}};
  for (const auto& [key, words] : figures)
    if (measured.contains(key)) text += row({words, percent(measured[key])});
  for (const auto& [key, value] : measured.items())
    if (key.rfind("near_miss_", 0) == 0) text += row({"... " + key.substr(10), percent(value)});
  return text;
}

std::string levels(const Json& value) {
  return value.is_null() ? "" : fmt::format("{:.1f}", value.get<double>());
}

std::string distances(const Json& measured, std::string (*distance)(const Json&)) {
  std::string text = head({"kind", "drawn", "median", "least", "held-out real", "median", "least", "nearer"});
  for (const auto& kind : measured["kinds"])
    text +=
        row({kind["kind"], std::to_string(kind["drawn"].get<int>()), distance(kind["drawn_median"]),
             distance(kind["drawn_least"]), std::to_string(kind["held_out"].get<int>()),
             distance(kind["held_out_median"]), distance(kind["held_out_least"]), percent(kind["nearer"])});
  return text;
}

std::string memory(const Json& measured) {
  return "\nNearest training picture, as the share of image tokens that differ; \"nearer\" is the share of "
         "drawn pictures that are nearer than 95% of the held-out ones (5% is what no copying gives):\n\n" +
         distances(measured, percent) +
         "\nThe same by colours, which a copy keeps that is moved by some pixels: root mean square "
         "difference of "
         "thumbnails, in levels of 255:\n\n" +
         distances(measured["colours"], levels);
}

}  // namespace

std::string to_markdown(const Json& document) {
  const auto& options = document["options"];
  std::string text = fmt::format(
      "{} of {} prompts, {} candidates each, seed {}, temperature {:g}, guidance {:g}; {}.\n\n",
      document["drawn"].get<int>(), document["prompts"].get<int>(), options["candidates"].get<int>(),
      options["seed"].get<uint64_t>(), options["temperature"].get<double>(),
      options["guidance"].get<double>(), document["device"].get<std::string>());
  text += shares(document) + curve(document);
  if (document.contains("dvae")) text += models(document);
  if (document.contains("clip")) text += clip(document["clip"]);
  if (document.contains("memory")) text += memory(document["memory"]);
  return text;
}

}  // namespace dalle1::tools
