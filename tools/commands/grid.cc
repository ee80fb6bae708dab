// dalle1 grid: a sheet of a finished run's pictures.
#include <fmt/format.h>

#include <algorithm>

#include "core/image/png.h"
#include "core/image/sheet.h"
#include "rerank/results.h"
#include "tools/program/command.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

struct GridOptions {
  std::string results, out, title;
  int columns = 0, count = 0;
};

int grid(const GridOptions& options, const CommonOptions& common) {
  std::vector<SheetCell> cells;
  const auto folder = fs::path(options.results).parent_path();
  for (const auto& row : rerank::read_results(options.results)) {
    if (row.file.empty() || (options.count > 0 && static_cast<int>(cells.size()) == options.count)) continue;
    check(row.scored(), ErrorKind::input, "{}: candidate {} has a picture and no score", options.results,
          row.candidate);
    cells.push_back({to_rgb(read_image(folder / row.file)), rerank::caption_of(row), false,
                     rerank::brief_caption_of(row)});
  }
  check(!cells.empty(), ErrorKind::input, "{}: no row of it has a picture", options.results);
  SheetOptions sheet;
  sheet.title = options.title;
  sheet.columns = options.columns;
  write_png(options.out, draw_sheet(cells, sheet));
  if (common.json)
    fmt::print("{}\n", json_text({{"sheet", options.out}, {"pictures", cells.size()}}, -1));
  else
    fmt::print("{}\n", options.out);
  return 0;
}

}  // namespace

Command grid_command() {
  return {"grid", "Draw a sheet of the pictures that a results.jsonl names",
          "dalle1 grid dalle1-out/a-red-circle-0/results.jsonl --out sheet.png",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<GridOptions>();
            app.add_option("results", options->results, "results.jsonl of a run")->required();
            app.add_option("--out", options->out, "The PNG to write")->required();
            app.add_option("--columns", options->columns, "Pictures in a row; automatic by default")
                ->check(CLI::Range(1, 64));
            app.add_option("--count", options->count, "Only the best so many")->check(CLI::Range(1, 100000));
            app.add_option("--title", options->title, "A line above the pictures");
            return [options, &common] { return grid(*options, common); };
          }};
}

}  // namespace dalle1::tools
