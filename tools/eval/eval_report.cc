#include "tools/eval/eval_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/error.h"
#include "core/image/plot.h"

namespace dalle1::tools {
namespace {

using rerank::Json;

// C(a, b) / C(c, b) for a <= c as a product of ratios, which never overflows.
double choose_ratio(int a, int c, int b) {
  double ratio = 1;
  for (int i = 0; i < b; ++i) ratio *= a - i > 0 ? static_cast<double>(a - i) / (c - i) : 0.0;
  return ratio;
}

Json to_json(const Share& share) {
  return {{"right", share.right},
          {"count", share.count},
          {"share", share.share},
          {"low", share.low},
          {"high", share.high}};
}

// Share of prompts whose flags, by rank, satisfy a test; prompts without flags do not count.
Share share_of(const std::vector<const PromptVerdict*>& verdicts, std::vector<bool> PromptVerdict::*flags,
               const std::function<bool(const PromptVerdict&, const std::vector<bool>&)>& test) {
  int right = 0, count = 0;
  for (const auto* verdict : verdicts) {
    const auto& values = verdict->*flags;
    if (values.empty()) continue;
    ++count;
    right += test(*verdict, values);
  }
  return wilson(right, count);
}

bool first_candidate(const PromptVerdict& verdict, const std::vector<bool>& flags) {
  const auto first = std::min_element(verdict.candidates.begin(), verdict.candidates.end());
  return flags[static_cast<size_t>(first - verdict.candidates.begin())];
}

bool best_candidate(const PromptVerdict&, const std::vector<bool>& flags) { return flags.front(); }

bool any_candidate(const PromptVerdict&, const std::vector<bool>& flags) {
  return std::find(flags.begin(), flags.end(), true) != flags.end();
}

KindReport report_kind(const std::string& kind, bool held_out,
                       const std::vector<const PromptVerdict*>& verdicts) {
  const auto right = &PromptVerdict::right, control = &PromptVerdict::control;
  return {kind,
          held_out,
          share_of(verdicts, right, first_candidate),
          share_of(verdicts, right, best_candidate),
          share_of(verdicts, right, any_candidate),
          share_of(verdicts, control, first_candidate),
          share_of(verdicts, control, best_candidate),
          share_of(verdicts, control, any_candidate)};
}

std::vector<CurvePoint> curve_of(const std::vector<PromptVerdict>& verdicts) {
  size_t most = 0;
  for (const auto& verdict : verdicts) most = std::max(most, verdict.right.size());
  std::vector<int> counts;
  for (size_t n = 1; n < most; n *= 2) counts.push_back(static_cast<int>(n));
  if (most > 0) counts.push_back(static_cast<int>(most));
  std::vector<CurvePoint> curve;
  for (const int n : counts) {
    CurvePoint point{n, 0, 0, 0, 0};
    int prompts = 0, controls = 0;
    for (const auto& verdict : verdicts) {
      if (static_cast<int>(verdict.right.size()) < n) continue;
      ++prompts;
      point.best += best_of(verdict.right, n);
      point.oracle += any_of(verdict.right, n);
      if (verdict.control.empty()) continue;
      ++controls;
      point.control_best += best_of(verdict.control, n);
      point.control_oracle += any_of(verdict.control, n);
    }
    point.best /= std::max(1, prompts);
    point.oracle /= std::max(1, prompts);
    point.control_best /= std::max(1, controls);
    point.control_oracle /= std::max(1, controls);
    curve.push_back(point);
  }
  return curve;
}

}  // namespace

Json to_json(const PromptVerdict& verdict) {
  return {{"prompt", verdict.prompt},          {"kind", verdict.kind},   {"held_out", verdict.held_out},
          {"candidates", verdict.candidates},  {"right", verdict.right}, {"control", verdict.control},
          {"best_tokens", verdict.best_tokens}};
}

PromptVerdict verdict_from_json(const Json& json, const std::string& where) {
  try {
    PromptVerdict verdict;
    json.at("prompt").get_to(verdict.prompt);
    json.at("kind").get_to(verdict.kind);
    json.at("held_out").get_to(verdict.held_out);
    json.at("candidates").get_to(verdict.candidates);
    json.at("right").get_to(verdict.right);
    json.at("control").get_to(verdict.control);
    json.at("best_tokens").get_to(verdict.best_tokens);
    const auto fits = [&](const auto& list) {
      return list.empty() || list.size() == verdict.candidates.size();
    };
    check(fits(verdict.right) && fits(verdict.control), ErrorKind::input, "{}: lists of different lengths",
          where);
    return verdict;
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::input, "{}: not a verdict: {}", where, error.what());
  }
}

Share wilson(int right, int count) {
  if (count == 0) return {};
  constexpr double z = 1.959963984540054;
  const double n = count, p = right / n, square = z * z / n;
  const double centre = (p + square / 2) / (1 + square);
  const double half = z * std::sqrt(p * (1 - p) / n + square / (4 * n)) / (1 + square);
  return {right, count, p, std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

double best_of(const std::vector<bool>& right_by_rank, int n) {
  const auto total = static_cast<int>(right_by_rank.size());
  double probability = 0;
  // C(N-1-i, n-1) / C(N, n) = (n / N) * C(N-1-i, n-1) / C(N-1, n-1).
  for (int i = 0; i + n <= total; ++i)
    if (right_by_rank[static_cast<size_t>(i)])
      probability += static_cast<double>(n) / total * choose_ratio(total - 1 - i, total - 1, n - 1);
  return probability;
}

double any_of(const std::vector<bool>& right_by_rank, int n) {
  const auto total = static_cast<int>(right_by_rank.size());
  const auto right = static_cast<int>(std::count(right_by_rank.begin(), right_by_rank.end(), true));
  return 1 - choose_ratio(total - right, total, n);
}

EvalReport summarise(const std::vector<PromptVerdict>& verdicts) {
  std::map<std::pair<std::string, bool>, std::vector<const PromptVerdict*>> groups;
  for (const auto& verdict : verdicts) groups[{verdict.kind, verdict.held_out}].push_back(&verdict);
  EvalReport report;
  for (const auto& [key, members] : groups)
    report.kinds.push_back(report_kind(key.first, key.second, members));
  if (groups.size() > 1) {
    std::vector<const PromptVerdict*> all;
    for (const auto& verdict : verdicts) all.push_back(&verdict);
    report.kinds.push_back(report_kind("all", false, all));
  }
  report.curve = curve_of(verdicts);
  return report;
}

Json to_json(const EvalReport& report) {
  Json json = {{"kinds", Json::array()}, {"curve", Json::array()}};
  for (const auto& kind : report.kinds)
    json["kinds"].push_back({{"kind", kind.kind},
                             {"held_out", kind.held_out},
                             {"first", to_json(kind.first)},
                             {"best", to_json(kind.best)},
                             {"oracle", to_json(kind.oracle)},
                             {"control_first", to_json(kind.control_first)},
                             {"control_best", to_json(kind.control_best)},
                             {"control_oracle", to_json(kind.control_oracle)}});
  for (const auto& point : report.curve)
    json["curve"].push_back({{"n", point.n},
                             {"best", point.best},
                             {"oracle", point.oracle},
                             {"control_best", point.control_best},
                             {"control_oracle", point.control_oracle}});
  return json;
}

std::string to_svg(const EvalReport& report) {
  Plot plot;
  plot.title = "Reranking: share of prompts drawn right";
  plot.x_label = "candidates N";
  plot.y_label = "share right";
  plot.log_x = true;
  plot.markers = true;
  const auto add = [&](const std::string& name, double CurvePoint::*value) {
    PlotSeries series;
    series.name = name;
    for (const auto& point : report.curve) {
      series.x.push_back(point.n);
      series.y.push_back(point.*value);
    }
    plot.series.push_back(std::move(series));
  };
  add("best of N by CLIP", &CurvePoint::best);
  add("any of N (oracle)", &CurvePoint::oracle);
  add("control: best of N", &CurvePoint::control_best);
  add("control: any of N", &CurvePoint::control_oracle);
  return dalle1::to_svg(plot);
}

}  // namespace dalle1::tools
