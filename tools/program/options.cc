#include "tools/program/options.h"

#include <fmt/format.h>
#include <sched.h>
#include <stdio.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "tools/program/progress.h"
#include "tools/program/ranks.h"

namespace dalle1::tools {
namespace fs = std::filesystem;

namespace {

// The control group's processors (quota over period, version 2), or 0 without a limit.
double control_group_processors() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
  return std::strtod(quota.c_str(), nullptr) / period;
}

fs::path program_directory() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).parent_path();
}

// Where files that come with the program may be, in this order.
std::vector<fs::path> shared_places(const std::string& name) {
  return {program_directory().parent_path() / "share/dalle1" / name,
          fs::path(DALLE1_CHECKOUT) / "weights" / name};
}

}  // namespace

ProgressMode CommonOptions::progress_mode() const {
  if (quiet || progress == "none" || !job_comm()->is_root()) return ProgressMode::none;
  if (progress == "json") return ProgressMode::json;
  return progress == "plain" ? ProgressMode::plain : ProgressMode::automatic;
}

void add_common_options(CLI::App& app, CommonOptions& common) {
  const std::string group = "Everywhere";
  app.add_option("--device", common.device, "auto, cpu, cuda or cuda:N")
      ->envname("DALLE1_DEVICE")
      ->capture_default_str()
      ->group(group);
  app.add_option("--threads", common.threads, "Processor threads; as many as the machine has by default")
      ->envname("DALLE1_THREADS")
      ->check(CLI::Range(1, 1024))
      ->group(group);
  app.add_option("--progress", common.progress, "auto, plain, json or none")
      ->envname("DALLE1_PROGRESS")
      ->check(CLI::IsMember({"auto", "plain", "json", "none"}))
      ->group(group);
  app.add_flag("--json", common.json, "One JSON document on stdout")->envname("DALLE1_JSON")->group(group);
  app.add_flag("--quiet", common.quiet, "No progress (the same as --progress none)")
      ->envname("DALLE1_QUIET")
      ->group(group);
}

void add_rank_options(CLI::App& app, CommonOptions& common) {
  app.add_option(
         "--rank-timeout", common.rank_timeout,
         "Of several processes: seconds without an answer after which one counts as hung and all end; "
         "0: wait for ever")
      ->envname("DALLE1_RANK_TIMEOUT")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str()
      ->group("Everywhere");
}

void add_model_options(CLI::App& app, CommonOptions& common) {
  const std::string group = "Model";
  app.add_option("--model", common.model, "Model directory or published checkpoint")
      ->envname("DALLE1_MODEL")
      ->group(group);
  const auto part = [&](const char* name, std::vector<std::string>& files, const char* description,
                        const char* variable) {
    add_list_option(app, name, files, description)->envname(variable)->group(group);
  };
  part("--transformer", common.transformer, "Transformer from this file", "DALLE1_TRANSFORMER");
  part("--dvae", common.dvae, "dVAE from this file; a published pair as ENCODER,DECODER", "DALLE1_DVAE");
  part("--clip", common.clip, "CLIP from this file", "DALLE1_CLIP");
  part("--captioner", common.captioner, "Captioner from this file", "DALLE1_CAPTIONER");
  part("--tokenizer", common.tokenizer, "Text tokenizer from this file", "DALLE1_TOKENIZER");
  part("--config", common.config, "[PART=]PRESET|FILE: configuration that a file does not carry",
       "DALLE1_CONFIG");
  app.add_option("--precision", common.precision,
                 "f32; int8: the transformer's products on a CPU; bf16 on a GPU, on a CPU int8 with dVAE and "
                 "CLIP in bf16 "
                 "(AMX or AVX512-BF16; pixels may differ in their last bits between processors); auto: what "
                 "the model "
                 "advises")
      ->envname("DALLE1_PRECISION")
      ->check(CLI::IsMember({"auto", "f32", "bf16", "int8"}))
      ->capture_default_str()
      ->group(group);
}

CLI::Option* add_list_option(CLI::App& app, const std::string& name, std::vector<std::string>& values,
                             const std::string& description) {
  return app.add_option(name, values, description)->delimiter(',')->allow_extra_args(false);
}

std::optional<fs::path> find_model_if_any(const CommonOptions& common) {
  if (!common.model.empty()) return fs::path(common.model);
  for (const auto& path : shared_places("default"))
    if (fs::exists(path / "model.json")) return path;
  return std::nullopt;
}

fs::path find_model(const CommonOptions& common) {
  if (auto path = find_model_if_any(common)) {
    check(fs::exists(*path), ErrorKind::model, "there is no model at {}", path->string());
    return *path;
  }
  const auto defaults = shared_places("default");
  fail(ErrorKind::model, "no model: give --model DIR or set DALLE1_MODEL (looked in {} and {})",
       defaults[0].string(), defaults[1].string());
}

fs::path shared_file(const std::string& name) {
  const auto places = shared_places(name);
  for (const auto& path : places)
    if (fs::exists(path)) return path;
  fail(ErrorKind::internal, "the installation is not whole: {} is neither at {} nor at {}", name,
       places[0].string(), places[1].string());
}

int usable_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  if (const double limit = control_group_processors(); limit > 0)
    count = std::min(count, static_cast<int>(std::ceil(limit)));
  return std::max(count, 1);
}

std::shared_ptr<Device> open_device(const CommonOptions& common) {
  auto device = make_device(common.device, common.threads > 0 ? common.threads : usable_processors());
  tell(common, {{"event", "device"}, {"device", device->describe()}}, "device: " + device->describe());
  return device;
}

std::string flag_of(std::string_view field) {
  std::string flag = fmt::format("--{}", field);
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

std::string message_of(const Error& error) { return error.spelled(flag_of); }

std::string json_text(const nlohmann::ordered_json& document, int indent) {
  return document.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string shell_line(const std::vector<std::string>& arguments) {
  std::string line;
  for (const auto& argument : arguments) {
    if (!line.empty()) line += ' ';
    const bool plain =
        !argument.empty() && std::all_of(argument.begin(), argument.end(), [](unsigned char c) {
          return std::isalnum(c) ||
                 std::string_view("_-./=,:+@%").find(static_cast<char>(c)) != std::string::npos;
        });
    if (plain) {
      line += argument;
      continue;
    }
    line += '\'';
    for (const char c : argument) line += c == '\'' ? std::string("'\\''") : std::string(1, c);
    line += '\'';
  }
  return line;
}

}  // namespace dalle1::tools
