// The report of a study in headless Chromium.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "core/image/png.h"
#include "tests/support/golden.h"
#include "tests/tools/run_files.h"
#include "tools/study/ablate_report.h"

namespace dalle1::test {
namespace {

namespace fs = std::filesystem;
using namespace tools;

// A study that has been run, with made-up figures: what a report shows does not depend on training.
struct MadeUpStudy {
  MadeUpStudy() {
    const nlohmann::json file = {
        {"base",
         {{"layers", 2},
          {"width", 64},
          {"heads", 2},
          {"text_length", 8},
          {"text_vocab", 96},
          {"grid", 4},
          {"image_vocab", 32}}},
        {"train",
         {{"steps", 30}, {"batch", 4}, {"validation", 4}, {"log_every", 10}, {"evaluate_every", 10}}},
        {"variants",
         {{{"name", "paper"}, {"schedule", "paper"}},
          {{"name", "all & <dense>"}, {"schedule", "dense"}},
          {{"name", "control"}, {"schedule", {"random:1:row", "random:2:row"}}}}},
        {"base_variant", "paper"},
        {"seeds", {1, 2, 3, 4, 5}},
        {"learning_rates", {0.001, 0.002}},
        {"samples", {{"prompts", {"a red square"}}, {"candidates", 2}}}};
    write_file_atomically(scratch / "study.json", file.dump());
    study = read_study(scratch / "study.json");
    for (const StudyRun& run : study.runs()) records.push_back(record_of(run));
    summaries = summarise(study, records);
  }

  static RunRecord record_of(const StudyRun& run) {
    RunRecord record;
    record.run = run;
    if (run.variant == 2 && run.learning_rate == 0.002 && run.seed == 3) record.diverged = 7;
    const double noise = 0.01 * static_cast<double>(run.seed * (run.variant + 3) % 5);
    for (int64_t step = 10; step <= 30; step += 10) {
      const double bits =
          5.0 - 0.02 * static_cast<double>(step) + 0.1 * static_cast<double>(run.variant) + noise;
      record.curve.push_back({step, bits - 1, bits});
    }
    record.parts = {{3, 4, 4, 3}, 2 + noise, 6 + noise, 0.7};
    record.training_tokens_per_second = 12345;
    record.decode_tokens_per_second = 678;
    return record;
  }

  std::string page() const {
    const std::vector<Image> pictures(2, Image(32, 32, 3, 90));
    return ablation_report(
        {study, records, summaries, "made up", 24, "CPU, 1 thread", {pictures, pictures, pictures}});
  }

  ScratchDir scratch;
  Study study;
  std::vector<RunRecord> records;
  std::vector<VariantSummary> summaries;
};

// Opens a page and returns what its console says.
std::string open_page(const ScratchDir& scratch, const std::string& page, int width,
                      const std::string& picture, bool dark) {
  write_file_atomically(scratch / "page.html", page);
  const fs::path log = scratch / "chromium.log";
  // Its own profile, and no name resolves: what the page would ask for cannot come from anywhere.
  const std::string command = fmt::format(
      "chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --no-first-run "
      "--disable-background-networking "
      "--disable-component-update --disable-dev-shm-usage --host-resolver-rules='MAP * ~NOTFOUND' "
      "--user-data-dir='{0}' --blink-settings=preferredColorScheme={1} --window-size={2},1600 "
      "--enable-logging=stderr "
      "--screenshot='{3}' 'file://{4}' >'{5}' 2>&1",
      (scratch / "profile").string(), dark ? 0 : 1, width, (scratch / picture).string(),
      (scratch / "page.html").string(), log.string());
  const int status = std::system(command.c_str());
  const std::string said = content_of(log);
  REQUIRE_MESSAGE(status == 0, said);
  std::string console;
  for (size_t begin = 0; begin < said.size();) {
    const size_t end = std::min(said.find('\n', begin), said.size());
    const std::string line = said.substr(begin, end - begin);
    if (line.find("CONSOLE") != std::string::npos) console += line + "\n";
    begin = end + 1;
  }
  return console;
}

// Of the picture's first row: the page's own colour.
int brightness(const Image& picture) {
  const Image rgb = to_rgb(picture);
  return (rgb.at(2, 2)[0] + rgb.at(2, 2)[1] + rgb.at(2, 2)[2]) / 3;
}

TEST_CASE("the report opens in Chromium without a word on the console, light and dark, wide and narrow") {
  REQUIRE_MESSAGE(std::system("command -v chromium >/dev/null 2>&1") == 0,
                  "no chromium here; tools/install_packages.sh --test installs it");
  const MadeUpStudy made;
  const std::string page = made.page();
  CHECK(open_page(made.scratch, page, 1280, "light.png", false) == "");
  CHECK(open_page(made.scratch, page, 500, "dark.png", true) == "");
  const Image light = read_image(made.scratch / "light.png"), dark = read_image(made.scratch / "dark.png");
  CHECK(light.width == 1280);
  CHECK(dark.width == 500);
  CHECK(brightness(light) > 230);
  CHECK(brightness(dark) < 40);

  // The console does tell: the page's own policy forbids requests, and names one that is tried.
  std::string asking = page;
  asking.insert(asking.find("<h1>"), "<img src=\"https://nowhere.invalid/x.png\">");
  CHECK(open_page(made.scratch, asking, 500, "asking.png", false).find("Content Security Policy") !=
        std::string::npos);
}

TEST_CASE("names in a report are text, and every figure of the study is there") {
  const std::string page = MadeUpStudy().page();
  CHECK(page.find("all &amp; &lt;dense&gt;") != std::string::npos);
  CHECK(page.find("<dense>") == std::string::npos);
  CHECK(page.find("://") == std::string::npos);
  for (const char* words :
       {"12,345", "678", "Diverged runs", "7 steps", "worse than the base", "made up: 24 samples"})
    CHECK_MESSAGE(page.find(words) != std::string::npos, words);
  CHECK(page.find("too small to claim anything") == std::string::npos);
}

}  // namespace
}  // namespace dalle1::test
