#include "tools/eval/eval_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "core/error.h"
#include "core/image/resample.h"
#include "core/image/sheet.h"
#include "core/ops/linear.h"

namespace dalle1::tools {
namespace {

using rerank::Json;

constexpr size_t kWorst = 32;
constexpr int kSheetSide = 128;  // pixels of a picture on the sheet

int64_t different_cells(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
  int64_t count = 0;
  for (size_t i = 0; i < a.size(); ++i) count += a[i] != b[i];
  return count;
}

Json quantile(std::vector<double> values, double share) {
  if (values.empty()) return nullptr;
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
}

struct Distances {
  std::vector<double> drawn, held_out;
};

Json row_of(const std::string& kind, const Distances& distances) {
  const auto& [drawn, held_out] = distances;
  Json nearer;
  if (!drawn.empty() && !held_out.empty()) {
    const double limit = quantile(held_out, 0.05).get<double>();
    const auto count = std::count_if(drawn.begin(), drawn.end(), [&](double d) { return d < limit; });
    nearer = static_cast<double>(count) / static_cast<double>(drawn.size());
  }
  return {{"kind", kind},
          {"drawn", drawn.size()},
          {"held_out", held_out.size()},
          {"drawn_median", quantile(drawn, 0.5)},
          {"drawn_least", quantile(drawn, 0)},
          {"held_out_median", quantile(held_out, 0.5)},
          {"held_out_least", quantile(held_out, 0)},
          {"nearer", nearer}};
}

// Thumbnails of some pictures, and the sum of squares of each.
struct Thumbnails {
  std::vector<float> values;    // [N, size]
  std::vector<double> squares;  // [N]

  void add(const CodeColours& colours, std::span<const int32_t> tokens) {
    const auto begin = static_cast<std::ptrdiff_t>(values.size());
    colours.append_thumbnail(tokens, values);
    squares.push_back(std::inner_product(values.begin() + begin, values.end(), values.begin() + begin, 0.0));
  }
  Tensor tensor(Device& device, int64_t size) const {
    return Tensor::from(device, {static_cast<int64_t>(squares.size()), size}, std::span(values));
  }
};

}  // namespace

std::vector<NearestPicture> nearest_by_tokens(const TokenShards& training,
                                              const std::vector<MemoryQuery>& queries) {
  std::vector<NearestPicture> nearest(queries.size());
  std::vector<int64_t> least(queries.size(), INT64_MAX);
  for (uint64_t index = 0; index < training.size(); ++index) {
    const auto record = training.read(index);
    for (size_t q = 0; q < queries.size(); ++q) {
      check(record.tokens.size() == queries[q].tokens.size(), ErrorKind::input,
            "the training pictures have {} tokens and the drawn ones {}", record.tokens.size(),
            queries[q].tokens.size());
      const auto count = different_cells(record.tokens, queries[q].tokens);
      if (count >= least[q]) continue;
      least[q] = count;
      nearest[q] = {index, static_cast<double>(count) / static_cast<double>(record.tokens.size())};
    }
  }
  return nearest;
}

std::vector<NearestPicture> nearest_by_colours(const TokenShards& training, const CodeColours& colours,
                                               Device& device, const std::vector<MemoryQuery>& queries) {
  constexpr uint64_t at_once = 1024;
  std::vector<NearestPicture> nearest(queries.size(), {0, HUGE_VAL});
  if (queries.empty()) return nearest;
  Thumbnails drawn;
  for (const auto& query : queries) drawn.add(colours, query.tokens);
  Context context(device);
  const Tensor rows = drawn.tensor(device, colours.size());
  for (uint64_t first = 0; first < training.size(); first += at_once) {
    Thumbnails known;
    for (uint64_t index = first; index < std::min(first + at_once, training.size()); ++index)
      known.add(colours, training.read(index).tokens);
    const auto products = ops::linear(context, rows, known.tensor(device, colours.size())).to_floats();
    const size_t count = known.squares.size();
    for (size_t q = 0; q < queries.size(); ++q) {
      for (size_t i = 0; i < count; ++i) {
        const double square = drawn.squares[q] + known.squares[i] - 2.0 * products[q * count + i];
        if (square < nearest[q].distance) nearest[q] = {first + i, square};
      }
    }
  }
  for (auto& each : nearest)
    each.distance = std::sqrt(std::max(0.0, each.distance) / static_cast<double>(colours.size()));
  return nearest;
}

Json measure_memory(const std::vector<MemoryQuery>& drawn, const std::vector<NearestPicture>& nearest,
                    const std::vector<MemoryQuery>& held_out,
                    const std::vector<NearestPicture>& held_out_nearest) {
  std::map<std::string, Distances> by_kind;
  for (size_t i = 0; i < drawn.size(); ++i) by_kind[drawn[i].kind].drawn.push_back(nearest[i].distance);
  for (size_t i = 0; i < held_out.size(); ++i)
    if (const auto kind = by_kind.find(held_out[i].kind); kind != by_kind.end())
      kind->second.held_out.push_back(held_out_nearest[i].distance);
  Json kinds = Json::array();
  Distances all;
  for (const auto& [kind, distances] : by_kind) {
    kinds.push_back(row_of(kind, distances));
    all.drawn.insert(all.drawn.end(), distances.drawn.begin(), distances.drawn.end());
    all.held_out.insert(all.held_out.end(), distances.held_out.begin(), distances.held_out.end());
  }
  if (kinds.size() > 1) kinds.push_back(row_of("all", all));
  return {{"kinds", kinds}};
}

Image memory_sheet(rerank::ModelSet& models, const TokenShards& training,
                   const std::vector<MemoryQuery>& drawn, const std::vector<NearestPicture>& nearest,
                   const std::function<std::string(double)>& label) {
  std::vector<size_t> order(drawn.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return nearest[a].distance < nearest[b].distance; });
  order.resize(std::min(order.size(), kWorst));
  const auto picture = [&](const std::vector<int32_t>& tokens) {
    return resize(models.decoder().decode(tokens, 1).front(), kSheetSide, kSheetSide, Filter::box);
  };
  std::vector<SheetCell> cells;
  for (const size_t i : order) {
    const auto known = training.read(nearest[i].index);
    cells.push_back({picture(drawn[i].tokens), label(nearest[i].distance)});
    cells.push_back({picture(known.tokens), known.caption, true});
  }
  SheetOptions sheet;
  sheet.title = "drawn, and the nearest training picture (framed)";
  sheet.columns = static_cast<int>(std::min<size_t>(8, cells.size()));
  return draw_sheet(cells, sheet);
}

}  // namespace dalle1::tools
