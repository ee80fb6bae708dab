// dalle1 doctor: what this machine offers to the program, and whether the program computes rightly on it.
#include <fmt/format.h>
#include <link.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "tools/commands/self_test.h"
#include "tools/program/command.h"

namespace dalle1::tools {
namespace {

using Json = nlohmann::ordered_json;

int threads_of(const CommonOptions& common) {
  return common.threads > 0 ? common.threads : usable_processors();
}

Json describe_devices(const CommonOptions& common) {
  Json devices = Json::array();
  const auto cpu = make_cpu_device(threads_of(common));
  devices.push_back({{"device", "cpu"},
                     {"description", cpu->describe()},
                     {"threads", cpu->threads()},
                     {"memory_available", cpu->available_memory()}});
  for (int index = 0; index < cuda_device_count(); ++index) {
    const auto cuda = make_cuda_device(index);
    devices.push_back({{"device", fmt::format("cuda:{}", index)},
                       {"description", cuda->describe()},
                       {"memory_available", cuda->available_memory()}});
  }
  return devices;
}

// The shared libraries in this process by their files' names, which tell the versions.
std::vector<std::string> loaded_libraries() {
  std::vector<std::string> names;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* found) {
        std::error_code error;
        const auto file = std::filesystem::canonical(info->dlpi_name, error).filename().string();
        const bool of_system = file.rfind("libc.", 0) == 0 || file.rfind("ld-", 0) == 0;
        if (!error && !of_system) static_cast<std::vector<std::string>*>(found)->push_back(file);
        return 0;
      },
      &names);
  std::sort(names.begin(), names.end());
  return names;
}

void print_report(const Json& report) {
  fmt::print("dalle1 {}\n", report["version"].get<std::string>());
  for (const auto& device : report["devices"])
    fmt::print("device   {}\n", device["description"].get<std::string>());
  if (report["devices"].size() == 1) fmt::print("device   no usable GPU\n");
  const auto& model = report["model"];
  fmt::print("model    {}\n", model.is_null() ? "none found: give --model DIR to the commands that draw"
                                              : model.get<std::string>());
  fmt::print("libs     {}\n", fmt::join(report["libraries"].get<std::vector<std::string>>(), ", "));
  fmt::print("waiting  {}\n", report["wait_policy"].get<std::string>());
  for (const auto& check : report["self_test"])
    fmt::print("{:<8} {}: {}\n", check["passed"].get<bool>() ? "ok" : "FAILED",
               check["name"].get<std::string>(), check["detail"].get<std::string>());
}

int doctor(const CommonOptions& common) {
  Json report = {{"version", DALLE1_VERSION}, {"devices", describe_devices(common)}};
  const auto model = find_model_if_any(common);
  report["model"] = model ? Json(model->string()) : Json(nullptr);
  report["libraries"] = loaded_libraries();
  const char* policy = getenv("OMP_WAIT_POLICY");
  report["wait_policy"] = policy ? policy : "active";
  bool passed = true;
  report["self_test"] = Json::array();
  for (const auto& check : run_self_test(*make_device(common.device, threads_of(common)))) {
    passed = passed && check.passed;
    report["self_test"].push_back({{"name", check.name}, {"passed", check.passed}, {"detail", check.detail}});
  }
  if (common.json)
    fmt::print("{}\n", json_text(report));
  else
    print_report(report);
  check(passed, ErrorKind::internal,
        "the self-test failed: this build does not compute rightly on this machine");
  return 0;
}

}  // namespace

Command doctor_command() {
  return {"doctor", "Devices, memory, and a self-test of seconds", "dalle1 doctor",
          [](CLI::App& app, CommonOptions& common) {
            add_model_options(app, common);
            return [&common] { return doctor(common); };
          }};
}

}  // namespace dalle1::tools
